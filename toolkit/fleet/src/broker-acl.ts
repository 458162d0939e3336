import { createHash, timingSafeEqual } from "node:crypto";
import { checkId, isId, WattvoxError } from "@wattvox/core";
import { type Kind, matches, parseTopic } from "@wattvox/link";
import type { BrokerAccess } from "./broker.ts";

/** Accounts of a broker that are not devices. Devices are called by their id. */
export const SERVICES = ["store", "publisher", "collector", "server"] as const;
export type Service = (typeof SERVICES)[number];

interface Rights {
	write: readonly Kind[];
	read: readonly Kind[];
}

const STORE: Rights = {
	write: ["block", "collect", "verdict"],
	read: ["pull", "offer", "upload"],
};
// the desired state is for show: why a device is not where it should be
const COLLECTOR: Rights = {
	write: [],
	read: ["presence", "reported", "desired", "power", "utterances"],
};

/**
 * Who may write and read which kind of topic. A device: its own alone, and a build station some more of its
 * own; a service: every device's. `server` is store and collector in one, for `wattvox fleet serve`.
 */
export const RIGHTS: Readonly<Record<"device" | "station" | Service, Rights>> =
	{
		device: {
			write: ["presence", "reported", "pull", "power", "utterances"],
			read: ["desired", "root", "block"],
		},
		station: { write: ["offer", "upload"], read: ["collect", "verdict"] },
		store: STORE,
		publisher: {
			write: ["desired", "root"],
			read: ["presence", "reported", "power"],
		},
		collector: COLLECTOR,
		server: {
			write: [...STORE.write, ...COLLECTOR.write],
			read: [...STORE.read, ...COLLECTOR.read],
		},
	};

const at = (fleet: string, device: string, kind: Kind) =>
	`wattvox/v1/${fleet}/${device}/${kind}`;

/**
 * An access list for Mosquitto: `acl_file`, with a user name that is the device's id (a password file,
 * or `use_identity_as_username` with certificates whose common name is the id).
 * @param devices when given, no other user but the stations is a device; otherwise every user is one, under
 *   its own name
 * @param stations devices that may bring engines to the store
 * @throws WattvoxError E_USAGE (not an id, or a service's)
 */
export function mosquittoAcl(
	fleet: string,
	devices: readonly string[] = [],
	stations: readonly string[] = [],
): string {
	checkId(fleet, "fleet id");
	const { device, station, ...services } = RIGHTS;
	const lines = [
		"# Access list for Mosquitto, made by `wattvox keys acl`.",
		"# Whoever is not named here may do nothing.",
	];
	const grant = (word: string, who: string, of: Rights) => {
		for (const kind of of.write)
			lines.push(`${word} write ${at(fleet, who, kind)}`);
		for (const kind of of.read)
			lines.push(`${word} read ${at(fleet, who, kind)}`);
	};
	for (const [name, rights] of Object.entries(services)) {
		lines.push("", `user ${name}`);
		grant("topic", "+", rights);
	}
	for (const id of new Set([...devices, ...stations])) {
		checkId(id, "device id");
		if (SERVICES.some((s) => s === id))
			throw new WattvoxError(
				"E_USAGE",
				`no device may be called ${id}: that account has rights over all devices`,
			);
		lines.push("", `user ${id}`);
		if (devices.length > 0) grant("topic", id, device);
		if (stations.includes(id)) grant("topic", id, station);
	}
	if (devices.length === 0) {
		lines.push("", "# every other user: a device, under its own name");
		grant("pattern", "%u", device);
	}
	return `${lines.join("\n")}\n`;
}

/**
 * The same rights for the embedded broker. A client is who its certificate says, or else who its
 * password proves. A device's client
 * id must be its name too, or one device could throw another off the broker.
 * @param passwords by user name
 * @param stations devices that may bring engines to the store
 */
export function brokerRules(
	fleet: string,
	passwords: Readonly<Record<string, string>>,
	stations: readonly string[] = [],
): BrokerAccess {
	checkId(fleet, "fleet id");
	const users = new Map<string, { user: string; connections: number }>();
	const isService = (user: string | undefined): user is Service =>
		SERVICES.some((s) => s === user);
	const may = (clientId: string, right: "write" | "read", name: string) => {
		const user = users.get(clientId)?.user ?? "";
		const service = isService(user);
		const self = service ? "+" : user;
		const kinds = [...RIGHTS[service ? user : "device"][right]];
		if (!service && stations.includes(user))
			kinds.push(...RIGHTS.station[right]);
		return kinds.some((kind) => {
			const mine = at(fleet, self, kind);
			if (right === "read" && name === mine) return true;
			return parseTopic(name) !== undefined && matches(mine, name);
		});
	};
	return {
		connect(clientId, username, password, certified) {
			// a certificate says who it is; whatever name comes beside it is not looked at
			const user = certified ?? username;
			if (user === undefined || !isId(clientId)) return false;
			if (certified === undefined) {
				const known = Object.hasOwn(passwords, user)
					? passwords[user]
					: undefined;
				if (known === undefined || !equal(known, password ?? "")) return false;
			}
			if (!isService(user) && clientId !== user) return false;
			const connections = (users.get(clientId)?.connections ?? 0) + 1;
			users.set(clientId, { user, connections });
			return true;
		},
		gone(clientId) {
			// the one that comes back is let in before the one it replaces is gone
			const known = users.get(clientId);
			if (known && --known.connections <= 0) users.delete(clientId);
		},
		publish: (clientId, name) => may(clientId, "write", name),
		subscribe: (clientId, filter) => may(clientId, "read", filter),
	};
}

/** Compares without telling by its time how much was right. */
function equal(a: string | Buffer, b: string | Buffer): boolean {
	const hash = (x: string | Buffer) => createHash("sha256").update(x).digest();
	return timingSafeEqual(hash(a), hash(b));
}
