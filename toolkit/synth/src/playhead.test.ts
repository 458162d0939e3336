import test from "ava";
import { Playhead } from "./playhead.ts";

test("a playhead counts where sound came after the last had been played", (t) => {
	const head = new Playhead();
	t.is(head.left(5), 0);
	head.gave(1, 10);
	head.gave(1, 10.5);
	t.is(head.left(10.5), 1.5);
	t.is(head.underruns, 0);
	// exactly when it runs dry is in time
	head.gave(0.5, 12);
	t.is(head.underruns, 0);
	head.gave(0.5, 13);
	t.is(head.underruns, 1);
	t.is(head.drySeconds, 0.5);
	// what comes after a gap is played from then on
	t.is(head.left(13.25), 0.25);
	head.gave(1, 14);
	t.is(head.underruns, 2);
	t.is(head.drySeconds, 1);
	t.is(head.seconds, 4);
	t.is(head.left(99), 0);
});
