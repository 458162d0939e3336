import { createServer } from "node:net";
import type { Aedes } from "aedes";

/** Puts a test's own broker on a free port of loopback until the test ends. @returns the port */
export async function listening(
	t: { teardown(end: () => Promise<void>): void },
	aedes: Aedes,
): Promise<number> {
	const server = createServer((socket) => {
		socket.on("error", () => undefined);
		aedes.handle(socket);
	});
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	t.teardown(async () => {
		server.close();
		await new Promise<void>((resolve) => aedes.close(() => resolve()));
	});
	return (server.address() as { port: number }).port;
}
