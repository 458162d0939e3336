import { WattvoxError } from "@wattvox/core";

/** The shapes of speech servers that can teach. */
export const TEACHER_APIS = ["gpt-sovits", "gpt-sovits-v1", "openai"] as const;
export type TeacherApi = (typeof TEACHER_APIS)[number];

/** What a teacher is asked with, besides the sentence. */
export interface TeacherSettings {
	/** Where the server speaks, with its path. */
	url: string;
	api: TeacherApi;
	/** Of the sentences and of the reference, as the server names it ("en", "zh"). */
	language: string;
	/** Recording in whose voice GPT-SoVITS speaks: a path as its server sees it. */
	reference?: string;
	/** What is said there. */
	referenceText?: string;
	/** Voice of OpenAI's shape. */
	voice?: string;
	/** Model of OpenAI's shape. */
	model?: string;
	/** Further fields of the request as the server documents them ("speed_factor", "seed"). */
	extra?: Readonly<Record<string, unknown>>;
}

/**
 * The shape that an address stands for: `/v1/audio/speech` is OpenAI's, `/tts` that of GPT-SoVITS's
 * api_v2.py, and the root that of its older api.py.
 * @throws WattvoxError E_USAGE
 */
export function apiOf(url: string): TeacherApi {
	const { pathname } = teacherUrl(url);
	if (/\/audio\/speech\/?$/.test(pathname)) return "openai";
	if (/\/tts\/?$/.test(pathname)) return "gpt-sovits";
	if (pathname === "/") return "gpt-sovits-v1";
	throw new WattvoxError(
		"E_USAGE",
		`the path ${pathname} is of no API that is known: name it with --teacher-api ${TEACHER_APIS.join("|")}`,
	);
}

/** A teacher's address. @throws WattvoxError E_USAGE: not http, or with credentials in it */
export function teacherUrl(text: string): URL {
	let url: URL | undefined;
	try {
		url = new URL(text);
	} catch {
		// said below
	}
	if (!url || !["http:", "https:"].includes(url.protocol))
		throw new WattvoxError(
			"E_USAGE",
			"--teacher takes an address such as http://host:9880/tts",
		);
	if (url.username || url.password)
		throw new WattvoxError(
			"E_USAGE",
			"--teacher takes no credentials in its address: a key belongs into WATTVOX_TEACHER_KEY",
		);
	return url;
}

/** The fields of a request for one sentence, in the shape of the server's API. */
export function requestFields(
	s: TeacherSettings,
	text: string,
): Record<string, unknown> {
	switch (s.api) {
		case "gpt-sovits":
			return {
				text,
				text_lang: s.language,
				...(s.reference !== undefined && { ref_audio_path: s.reference }),
				prompt_text: s.referenceText ?? "",
				prompt_lang: s.language,
				media_type: "wav",
				streaming_mode: false,
				...s.extra,
			};
		case "gpt-sovits-v1":
			// Without a reference its server takes the one it was started with.
			return {
				text,
				text_language: s.language,
				...(s.reference !== undefined && {
					refer_wav_path: s.reference,
					prompt_text: s.referenceText ?? "",
					prompt_language: s.language,
				}),
				...s.extra,
			};
		case "openai":
			return {
				model: s.model ?? "tts-1",
				input: text,
				voice: s.voice ?? "alloy",
				response_format: "wav",
				...s.extra,
			};
	}
}

/** What a server's error body says, in its API's shape or any like it; cut to a line. */
export function refusalOf(body: string): string {
	let said: unknown = body;
	try {
		const { error, message, detail, Exception } = JSON.parse(body);
		const named = error?.message ?? error ?? message ?? detail ?? body;
		said = Exception ? `${text(named)} (${text(Exception)})` : named;
	} catch {
		// not JSON: as it is
	}
	return text(said).replace(/\s+/g, " ").trim().slice(0, 200);
}

const text = (value: unknown): string =>
	typeof value === "string" ? value : (JSON.stringify(value) ?? "");
