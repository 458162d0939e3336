import { WattvoxError } from "@wattvox/core";
import type {
	CounterReading,
	CounterSource,
	GaugeSource,
	PowerReading,
	SourceDescription,
	Unavailable,
} from "../source.ts";
import {
	type Answer,
	findNvml,
	loadNvml,
	NVML,
	type Nvml,
	type NvmlDevice,
} from "./nvml-abi.ts";

/** What a card says of itself now. null: it does not say. */
export interface GpuTelemetry {
	name: string;
	/** Share of the last sampling period in which a kernel ran, 0..1. */
	utilisation: number | null;
	temperatureC: number | null;
	memoryUsedBytes: number | null;
	memoryTotalBytes: number | null;
	watts: number | null;
}

/** Graphics cards with their own telemetry beside their power. */
export type NvmlSource = (CounterSource | GaugeSource) & {
	telemetry(): Promise<GpuTelemetry[]>;
};

interface Card {
	device: NvmlDevice;
	name: string;
}

export interface OpenNvmlOptions {
	/** Folder that stands for `/`. */
	root?: string;
	env?: NodeJS.ProcessEnv;
}

/**
 * Opens the graphics cards through the driver's library: their energy counters where every card has
 * one (Volta and later), else their power. What a card answers with NOT_SUPPORTED is unknown, never 0:
 * one card that tells neither makes the whole source unavailable, since a sum without it would be less
 * than the truth.
 */
export async function openNvml(
	options: OpenNvmlOptions = {},
): Promise<NvmlSource | Unavailable> {
	const path = findNvml(options.root ?? "/", options.env ?? process.env);
	if (!path) return { unavailable: "no libnvidia-ml.so.1: no NVIDIA driver" };
	let nvml: Nvml;
	try {
		nvml = await loadNvml(path);
	} catch (thrown) {
		return { unavailable: `${path}: ${(thrown as Error).message}` };
	}
	const started = nvml.init();
	if (started !== NVML.success)
		return { unavailable: `NVML: ${nvml.errorString(started)}` };
	const opened = await openCards(nvml);
	if ("unavailable" in opened) nvml.shutdown();
	return opened;
}

async function openCards(nvml: Nvml): Promise<NvmlSource | Unavailable> {
	const why = (code: number) => `NVML: ${nvml.errorString(code)}`;
	const count = nvml.deviceCount();
	if ("code" in count) return { unavailable: why(count.code) };
	if (count.value === 0) return { unavailable: "NVML: no graphics card" };
	const cards: Card[] = [];
	for (let i = 0; i < count.value; i++) {
		const device = nvml.device(i);
		if ("code" in device) return { unavailable: why(device.code) };
		const name = nvml.name(device.value);
		cards.push({
			device: device.value,
			name: `gpu-${i} ${"value" in name ? name.value : "of unknown name"}`,
		});
	}
	const all = async <T>(ask: (d: NvmlDevice) => Promise<Answer<T>>) => {
		for (const { device, name } of cards) {
			const answer = await ask(device);
			if ("code" in answer) return `${name}: ${nvml.errorString(answer.code)}`;
		}
		return undefined;
	};
	const noEnergy = await all((d) => nvml.energy(d));
	if (noEnergy === undefined) return new NvmlCounter(nvml, cards);
	const noPower = await all((d) => nvml.power(d));
	if (noPower === undefined) return new NvmlGauge(nvml, cards);
	return { unavailable: `NVML tells neither energy nor power: ${noPower}` };
}

/** What both kinds share: the cards, the library's life and the telemetry. */
class Cards {
	readonly nvml: Nvml;
	readonly cards: readonly Card[];
	#closed = false;
	/** Calls under way: the library must outlive them. */
	#pending: Promise<unknown> = Promise.resolve();

	constructor(nvml: Nvml, cards: readonly Card[]) {
		this.nvml = nvml;
		this.cards = cards;
	}

	describe(how: string): SourceDescription {
		return {
			sensor: "nvml",
			rails: this.cards.map((c) => c.name),
			scope: `graphics cards, every process on them, by their ${how}; without the machine around them`,
			measured: true,
			domain: "gpu",
		};
	}

	/** Asks every card, one after the other: the library serialises calls anyway. */
	async ask<T>(question: (d: NvmlDevice) => Promise<Answer<T>>): Promise<T[]> {
		if (this.#closed) throw new WattvoxError("E_SENSOR", "nvml: it was closed");
		const turn = this.#pending.then(async () => {
			const out: T[] = [];
			for (const { device, name } of this.cards) {
				const answer = await question(device);
				if ("code" in answer)
					throw new WattvoxError(
						"E_SENSOR",
						`nvml: ${name}: ${this.nvml.errorString(answer.code)}`,
					);
				out.push(answer.value);
			}
			return out;
		});
		this.#pending = turn.catch(() => undefined);
		return turn;
	}

	async telemetry(): Promise<GpuTelemetry[]> {
		const known = async <T>(answer: Promise<Answer<T>>): Promise<T | null> => {
			const a = await answer;
			return "value" in a ? a.value : null;
		};
		const told: GpuTelemetry[] = [];
		for (const { device, name } of this.cards) {
			const percent = await known(this.nvml.utilisation(device));
			const memory = await known(this.nvml.memory(device));
			const milliwatts = await known(this.nvml.power(device));
			told.push({
				name,
				utilisation: percent === null ? null : percent / 100,
				temperatureC: await known(this.nvml.temperature(device)),
				memoryUsedBytes: memory && Number(memory.used),
				memoryTotalBytes: memory && Number(memory.total),
				watts: milliwatts === null ? null : milliwatts / 1000,
			});
		}
		return told;
	}

	async close(): Promise<void> {
		if (this.#closed) return;
		this.#closed = true;
		await this.#pending;
		this.nvml.shutdown();
	}
}

class NvmlCounter implements CounterSource {
	readonly kind = "counter";
	readonly ranges: readonly null[];
	/** Cards move their counter every 20 to 100 ms (Yang et al., arXiv 2312.02741). */
	readonly periodSeconds = 0.1;
	readonly #all: Cards;

	constructor(nvml: Nvml, cards: readonly Card[]) {
		this.#all = new Cards(nvml, cards);
		this.ranges = cards.map(() => null);
	}

	describe = () => this.#all.describe("energy counters");
	telemetry = () => this.#all.telemetry();
	close = () => this.#all.close();

	async read(): Promise<CounterReading> {
		const millijoules = await this.#all.ask((d) => this.#all.nvml.energy(d));
		return {
			atNs: process.hrtime.bigint(),
			microjoules: millijoules.map((mj) => mj * 1000n),
		};
	}
}

class NvmlGauge implements GaugeSource {
	readonly kind = "gauge";
	/** Newer cards answer with a mean over a second. */
	readonly lagSeconds = 1;
	readonly #all: Cards;

	constructor(nvml: Nvml, cards: readonly Card[]) {
		this.#all = new Cards(nvml, cards);
	}

	describe = () => this.#all.describe("power");
	telemetry = () => this.#all.telemetry();
	close = () => this.#all.close();

	async read(): Promise<PowerReading> {
		const milliwatts = await this.#all.ask((d) => this.#all.nvml.power(d));
		return {
			atNs: process.hrtime.bigint(),
			watts: milliwatts.reduce((sum, mw) => sum + mw, 0) / 1000,
		};
	}
}
