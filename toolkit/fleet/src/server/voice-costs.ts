import { bundleDigest, parseManifest, type Trust } from "@wattvox/bundle";
import type { Attestation } from "@wattvox/energy";
import {
	attestedBundles,
	type FoundAttestation,
	findAttestations,
} from "../attestations.ts";

type Figure = { value: number; plusMinus: number | null };

/** What one device measured of a voice, as people see it. */
export interface MeasuredVoice
	extends Pick<
		Attestation,
		| "deviceClass"
		| "device"
		| "made"
		| "measured"
		| "powerMode"
		| "temperatureC"
	> {
	sensor: string;
	signature: FoundAttestation["signature"];
	/** Joules per second of speech, all power; null: unknown, or its signature is bad. */
	gross: Figure | null;
	/** The same above the resting machine. */
	marginal: Figure | null;
	/** Seconds of speech that draw as much as training did; null where either is unknown. */
	trainingInSpeechSeconds: number | null;
}

/** What a voice cost to make, and what devices measured of it since. */
export interface VoiceCosts {
	bundle: string;
	/** Its name; null: the store does not have the bundle. */
	voice: string | null;
	/** From the bundle's signed passport; null: the store does not have the bundle. */
	training: {
		wattHours: number | null;
		gramsCO2e: number | null;
		measured: boolean;
	} | null;
	/** Those that a sensor measured first, then by device class. */
	attestations: MeasuredVoice[];
}

export interface VoiceBookOptions {
	/** Folder of attestations, `DIR/DIGEST/*.json`. */
	attestations: string;
	/** Whose signatures count. Default: nobody's, and it is said so. */
	trust?: () => Promise<Trust | undefined>;
	/** A bundle's manifest by its digest; undefined: not there. */
	manifest: (digest: string) => Promise<{ bytes: Uint8Array } | undefined>;
}

/** Voices of a fleet are few; beyond this the rest are left out. */
const MOST = 50;

/** Passports and attestations side by side, for the dashboard. */
export class VoiceBook {
	readonly #o: VoiceBookOptions;
	/** Manifests never change: the digest is theirs. */
	readonly #known = new Map<string, Pick<VoiceCosts, "voice" | "training">>();

	constructor(options: VoiceBookOptions) {
		this.#o = options;
	}

	/** @param bundles digests that are of interest beside those somebody measured */
	async list(bundles: Iterable<string>): Promise<VoiceCosts[]> {
		const { attestations, trust } = this.#o;
		const attested = await attestedBundles(attestations);
		const digests = [...new Set([...attested, ...bundles])].slice(0, MOST);
		const keys = await trust?.();
		return Promise.all(
			digests.map(async (bundle) => {
				const about = await this.#about(bundle);
				const { found } = await findAttestations(attestations, bundle, keys);
				return {
					...{ bundle, ...about },
					attestations: found
						.map((one) => shown(one, about.training?.wattHours ?? null))
						.sort(order),
				};
			}),
		);
	}

	async #about(
		bundle: string,
	): Promise<Pick<VoiceCosts, "voice" | "training">> {
		const known = this.#known.get(bundle);
		if (known) return known;
		try {
			const found = await this.#o.manifest(bundle);
			if (found && bundleDigest(found.bytes) === bundle) {
				const { voice, energy } = parseManifest(Buffer.from(found.bytes));
				const { trainWh, gCO2e, measured } = energy;
				const about = {
					voice,
					training: { wattHours: trainWh, gramsCO2e: gCO2e, measured },
				};
				this.#known.set(bundle, about);
				return about;
			}
		} catch {
			// a store that is away now may answer the next time
		}
		return { voice: null, training: null };
	}
}

function shown(
	{ attestation: a, signature }: FoundAttestation,
	trainWh: number | null,
): MeasuredVoice {
	const joules = signature === "bad" ? null : a.joulesPerAudioSecond;
	const { deviceClass, device, made, measured, powerMode, temperatureC } = a;
	return {
		...{ deviceClass, device, made, measured, powerMode, temperatureC },
		...{ sensor: a.source.sensor, signature },
		gross: joules?.gross ?? null,
		marginal: joules?.marginal ?? null,
		trainingInSpeechSeconds:
			trainWh === null || !joules || joules.gross.value <= 0
				? null
				: (trainWh * 3600) / joules.gross.value,
	};
}

function order(a: MeasuredVoice, b: MeasuredVoice): number {
	return (
		Number(b.measured) - Number(a.measured) ||
		(a.deviceClass < b.deviceClass ? -1 : 1)
	);
}
