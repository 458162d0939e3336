import type { Books } from "../booked.ts";
import type { Io } from "../command.ts";

/** One booked stage with its line of progress. */
export async function stage<T>(
	name: string,
	io: Io,
	books: Books,
	work: (progress: (share: number) => void) => Promise<[T, string]>,
): Promise<T> {
	const task = io.progress.task(name, 1);
	try {
		const [value, result] = await books.ledger.stage(name, () =>
			work((share) => task.update(share)),
		);
		task.finish(result);
		return value;
	} catch (thrown) {
		task.fail();
		throw thrown;
	}
}
