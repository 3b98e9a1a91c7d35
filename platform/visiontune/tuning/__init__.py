"""The study and who works on it: sampler, ASHA, Ray. The only floor that imports ray."""
