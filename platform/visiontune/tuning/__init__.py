"""A search: the study's storage, sampler, trial scheduler, queues of legs, Ray. The only floor that imports ray and optuna."""
