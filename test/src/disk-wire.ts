import type { BlockSource } from "@wattvox/bundle";
import { BlockServer, type PullOptions } from "@wattvox/link";

/** A device's end of a wire to a store, in one process. */
export async function wire(source: BlockSource) {
	type Handler = (name: string, payload: Buffer, retained: boolean) => void;
	const ends = new Map<"pull" | "block", Handler>();
	const channel = {
		ready: true,
		onReady: () => () => undefined,
		onLost: () => () => undefined,
		async subscribe(filter: string, handler: Handler) {
			ends.set(filter.endsWith("/pull") ? "pull" : "block", handler);
			return async () => undefined;
		},
		async publish(name: string, payload: Buffer) {
			const to = name.endsWith("/pull") ? "pull" : "block";
			setImmediate(() => ends.get(to)?.(name, payload, false));
		},
	};
	const server = new BlockServer({ link: channel, source, store: "s" });
	await server.start();
	return { server, link: channel as PullOptions["link"] };
}
