import { join } from "node:path";
import { FolderStore, type PrivateKey } from "@wattvox/bundle";
import { Broker, publish, StoreServer } from "@wattvox/fleet";
import {
	decode,
	filter,
	Link,
	type Reported,
	zPresence,
	zReported,
} from "@wattvox/link";

/** A broker and a store on this machine's loopback, for one device that is emulated. */
export class FleetHere {
	readonly fleet = "home";
	readonly device = "emulated";
	readonly store: FolderStore;
	/** Whether the device says that it is there. */
	online = false;
	/** What the device said last. */
	reported: Reported | undefined;
	readonly #key: PrivateKey;
	#broker: Broker | undefined;
	#server: StoreServer | undefined;
	#link: Link | undefined;

	/** @param key signs what is wished for */
	constructor(dir: string, key: PrivateKey) {
		this.store = new FolderStore(join(dir, "store"));
		this.#key = key;
	}

	/** The broker's address on this machine. @throws Error before the start */
	get url(): string {
		if (!this.#broker) throw new Error("no broker yet");
		return this.#broker.url;
	}

	/** What was sent, in words. */
	get sent(): string {
		const sent = this.#server?.counters;
		return `${sent?.bytes ?? 0} bytes in ${sent?.blocks ?? 0} blocks`;
	}

	async start(): Promise<void> {
		this.#broker = await Broker.start({ port: 0 });
		const { url } = this.#broker;
		this.#server = new StoreServer({ source: this.store, broker: { url } });
		await this.#server.start();
		this.#link = new Link({ url, clientId: "watcher" });
		await this.#link.start();
		await this.#link.subscribe(filter("presence"), (_, payload) => {
			this.online = decode(zPresence, payload)?.online ?? false;
		});
		await this.#link.subscribe(filter("reported"), (_, payload) => {
			this.reported = decode(zReported, payload) ?? this.reported;
		});
	}

	/** Wishes for a bundle. */
	async wish(bundle: string): Promise<void> {
		const { fleet, device, url } = this;
		const to = { fleet, devices: [device], key: this.#key, broker: { url } };
		await publish(bundle, this.store, to);
	}

	/** Idempotent. */
	async stop(): Promise<void> {
		await this.#link?.stop();
		await this.#server?.stop();
		await this.#broker?.stop();
		this.#link = this.#server = this.#broker = undefined;
	}
}
