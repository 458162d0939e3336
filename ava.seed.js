import fc from "fast-check";

/**
 * Property tests draw the same cases in every run, so that a run says something about the change and
 * nothing about luck. `FC_SEED=random` draws new ones, `FC_SEED=N` those of a run that failed.
 */
const { FC_SEED = "1" } = process.env;
const seed =
	FC_SEED === "random" ? Math.floor(Math.random() * 2 ** 31) : Number(FC_SEED);
if (!Number.isInteger(seed))
	throw new Error(`FC_SEED is "random" or an integer, not "${FC_SEED}"`);
fc.configureGlobal({ seed });
