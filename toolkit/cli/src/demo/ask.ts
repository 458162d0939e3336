import { ERRORS, type ErrorCode, WattvoxError } from "@wattvox/core";

/** What a device answered. */
export interface Spoken {
	text: string;
	/** Mono, -1..1. */
	samples: Float32Array;
	sampleRate: number;
	/** From the request to the first samples, milliseconds. */
	firstSoundMs: number;
}

/**
 * Asks a speech API for a text, as any program on the device would.
 * @param url of the API: http://127.0.0.1:port
 * @throws WattvoxError with the code that the API gave; E_BROKER when it is not there
 */
export async function ask(
	url: string,
	text: string,
	signal?: AbortSignal,
): Promise<Spoken> {
	const begin = performance.now();
	const response = await fetch(`${url}/v1/audio/speech`, {
		method: "POST",
		headers: { "content-type": "application/json" },
		body: JSON.stringify({ input: text, response_format: "pcm" }),
		...(signal && { signal }),
	});
	if (!response.ok || !response.body) throw await refusal(response);
	const chunks: Uint8Array[] = [];
	let firstSoundMs = Number.NaN;
	for await (const chunk of response.body) {
		if (chunks.length === 0) firstSoundMs = performance.now() - begin;
		chunks.push(chunk);
	}
	const bytes = Buffer.concat(chunks);
	const samples = new Float32Array(bytes.length >> 1);
	for (let i = 0; i < samples.length; i++)
		samples[i] = bytes.readInt16LE(2 * i) / 32768;
	const sampleRate = Number(response.headers.get("x-sample-rate"));
	return { text, samples, sampleRate, firstSoundMs };
}

async function refusal(response: Response): Promise<WattvoxError> {
	const said = await response.text();
	let code: ErrorCode = "E_BUG";
	let message = said.slice(0, 500);
	try {
		const { error } = JSON.parse(said);
		if (Object.hasOwn(ERRORS, error?.code)) code = error.code;
		if (typeof error?.message === "string") message = error.message;
	} catch {
		// not ours: the text itself says what there is to say
	}
	return new WattvoxError(code, `the speech API said: ${message}`);
}
