import {
	canonicalBytes,
	type PrivateKey,
	parseCanonical,
	signBytes,
	type Trust,
	verifyBytes,
	zSignature,
} from "@wattvox/bundle";
import { WattvoxError } from "@wattvox/core";
import { z } from "zod";
import { type Desired, decode, encode, zDesired } from "./messages.ts";

/** A signed message: the signed text as it was signed, and who signed it. */
const zEnvelope = z.object({
	v: z.literal(1),
	/** Canonical JSON of {@link Desired}. */
	signed: z.string().max(8192),
	signature: zSignature,
});

/** A desired state as the bytes of its topic. */
export function encodeDesired(desired: Desired, key: PrivateKey): Buffer {
	const body = canonicalBytes(zDesired.parse(desired));
	const signature = signBytes("desired", body, key);
	return encode({ v: 1, signed: body.toString("utf8"), signature });
}

/** A desired state and the id of the key that signed it. */
export interface SignedDesired {
	desired: Desired;
	signer: string;
}

/** As {@link readDesired}, without the signer. */
export function decodeDesired(
	payload: Uint8Array,
	to: { fleet: string; device: string },
	trust: Trust,
): Desired {
	return readDesired(payload, to, trust).desired;
}

/**
 * Reads a desired state: the signature first, then what was signed, then that it is meant for this
 * very device. That its revision rises is for the one who keeps the floor to check.
 * @throws WattvoxError E_SIGNATURE, E_FILE_FORMAT
 */
export function readDesired(
	payload: Uint8Array,
	to: { fleet: string; device: string },
	trust: Trust,
): SignedDesired {
	const envelope = decode(zEnvelope, payload);
	if (!envelope)
		throw new WattvoxError("E_SIGNATURE", "the desired state is not signed");
	const body = Buffer.from(envelope.signed, "utf8");
	const signer = verifyBytes("desired", body, envelope.signature, trust);
	const parsed = zDesired.safeParse(parseCanonical(body, "the desired state"));
	if (!parsed.success)
		throw new WattvoxError(
			"E_FILE_FORMAT",
			`the desired state is not valid: ${z.prettifyError(parsed.error)}`,
		);
	const { fleet, device } = parsed.data;
	if (fleet !== to.fleet || device !== to.device)
		throw new WattvoxError(
			"E_SIGNATURE",
			`the desired state was signed for ${fleet}/${device}, not for ${to.fleet}/${to.device}`,
		);
	return { desired: parsed.data, signer };
}
