"""How much each param matters: forests over a study's params, functional ANOVA."""
