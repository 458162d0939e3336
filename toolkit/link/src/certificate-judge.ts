import { X509Certificate } from "node:crypto";
import { checkServerIdentity } from "node:tls";
import {
	type CertificateDetails,
	certificateDetails,
	EXTENSION,
} from "./certificate.ts";

/** What a server showed, and what it is held to. */
export interface Shown {
	/** The server's own certificate. */
	leaf: X509Certificate;
	/** What else it sent: authorities between its own and a trusted one. */
	above: readonly X509Certificate[];
	/** Authorities that are trusted. */
	anchors: readonly X509Certificate[];
	/** Name or address that the server was asked for by. */
	host: string;
	/** It is not earlier than this, milliseconds since 1970. */
	floor: number;
}

const SERVER_AUTH = "1.3.6.1.5.5.7.3.1";
/** digitalSignature, keyEncipherment, keyAgreement: what a server's key does in a handshake. */
const SERVER_USES = 0b10101;
/** Authorities between the server's certificate and a trusted one. */
const MOST_ABOVE = 4;
/** Bits; of RSA alone, other keys that Node knows are long enough. */
const LEAST_RSA = 2048;

/** Those that hold today; MD5 and SHA-1 do not. */
const SIGNATURES = new Set([
	// RSA with SHA-256, SHA-384, SHA-512, and RSASSA-PSS
	...["1.2.840.113549.1.1.11", "1.2.840.113549.1.1.12"],
	...["1.2.840.113549.1.1.13", "1.2.840.113549.1.1.10"],
	// ECDSA with the same
	...["1.2.840.10045.4.3.2", "1.2.840.10045.4.3.3", "1.2.840.10045.4.3.4"],
	// Ed25519, Ed448
	...["1.3.101.112", "1.3.101.113"],
]);

/** What is looked at below; a certificate that makes another one critical is not for us. */
const UNDERSTOOD: ReadonlySet<string> = new Set([
	EXTENSION.keyUsage,
	EXTENSION.subjectAltName,
	EXTENSION.basicConstraints,
	EXTENSION.policies,
	EXTENSION.extendedKeyUsage,
]);

/**
 * Why a server is not the one that was asked for, judged without a clock: by the rules of RFC 5280,
 * section 6, but for time, of which only a floor is known. A certificate that ended before the floor is
 * refused; when one begins is not asked. What cannot be judged here (constraints on names) is refused.
 * @returns undefined where it is the one
 */
export function whyNotTrusted(shown: Shown): string | undefined {
	const { leaf, host } = shown;
	const refused = checkServerIdentity(host, leaf.toLegacyObject());
	if (refused) return refused.message;
	try {
		const details = certificateDetails(leaf);
		if (details.usage !== undefined && !(details.usage & SERVER_USES))
			return "its key is not for servers";
		return unfit(leaf, details, shown.floor) ?? climb(shown, leaf, 0);
	} catch (thrown) {
		return (thrown as Error).message;
	}
}

/** Looks for a way from a certificate up to a trusted authority. */
function climb(
	shown: Shown,
	from: X509Certificate,
	depth: number,
): string | undefined {
	const { anchors, above, floor } = shown;
	// a server's own certificate may be what is trusted
	if (depth === 0 && anchors.some((a) => a.raw.equals(from.raw)))
		return undefined;
	const details = certificateDetails(from);
	if (!SIGNATURES.has(details.signedBy))
		return "a certificate is signed by an algorithm that is too weak or unknown";
	let why = "no authority that is trusted stands behind it";
	for (const [pool, trusted] of [
		[anchors, true],
		[above, false],
	] as const)
		for (const issuer of pool) {
			if (!issued(from, issuer)) continue;
			const complaint =
				unfitAuthority(issuer, depth, floor) ??
				(trusted
					? undefined
					: depth < MOST_ABOVE
						? climb(shown, issuer, depth + 1)
						: "too many authorities stand between");
			if (complaint === undefined) return undefined;
			why = complaint;
		}
	return why;
}

function issued(by: X509Certificate, issuer: X509Certificate): boolean {
	try {
		return by.checkIssued(issuer) && by.verify(issuer.publicKey);
	} catch {
		// a key that Node does not know
		return false;
	}
}

/** @param below authorities between this one and the server's certificate */
function unfitAuthority(
	authority: X509Certificate,
	below: number,
	floor: number,
): string | undefined {
	const details = certificateDetails(authority);
	if (!authority.ca) return "who issued it is no authority";
	if (details.pathLength !== undefined && details.pathLength < below)
		return "an authority may not have others below it";
	return unfit(authority, details, floor);
}

function unfit(
	certificate: X509Certificate,
	{ extensions }: CertificateDetails,
	floor: number,
): string | undefined {
	const ends = Date.parse(certificate.validTo);
	if (!(ends >= floor))
		return `a certificate ended on ${certificate.validTo}, and it is ${new Date(floor).toISOString()} at least`;
	// Node's name for extendedKeyUsage
	const uses: string[] | undefined = certificate.keyUsage;
	if (uses?.length && !uses.includes(SERVER_AUTH))
		return "a certificate is not for servers";
	const { asymmetricKeyDetails: key } = certificate.publicKey;
	if (key?.modulusLength !== undefined && key.modulusLength < LEAST_RSA)
		return "a key is too short";
	for (const { id, critical } of extensions) {
		if (id === EXTENSION.nameConstraints)
			return "an authority is held to names, which is not judged without a clock";
		if (critical && !UNDERSTOOD.has(id))
			return `a certificate demands ${id}, which is not known here`;
	}
	return undefined;
}

/** Every certificate of a PEM text. */
export function readCertificates(pem: string): X509Certificate[] {
	const texts = pem.match(
		/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g,
	);
	return (texts ?? []).map((text) => new X509Certificate(text));
}
