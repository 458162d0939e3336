import { execFile } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** PEM files of one certificate. */
export interface Certificate {
	certPath: string;
	keyPath: string;
	cert: string;
	key: string;
}

/** A certificate authority for one test, made with openssl. */
export interface Authority {
	caPath: string;
	ca: string;
	server: Certificate;
	/** A client's certificate with this common name. */
	client(name: string): Promise<Certificate>;
}

const EC = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];

/** Makes an authority and a server certificate for 127.0.0.1 below `dir`. */
export async function makeAuthority(dir: string): Promise<Authority> {
	await mkdir(dir, { recursive: true });
	const at = (name: string) => join(dir, name);
	await run("openssl", [
		...["req", "-x509", ...EC, "-days", "2", "-subj", "/CN=test authority"],
		...["-keyout", at("ca.key"), "-out", at("ca.pem")],
	]);
	const issue = async (name: string, extension: string) => {
		const [keyPath, csr, certPath, ext] = [
			at(`${name}.key`),
			at(`${name}.csr`),
			at(`${name}.pem`),
			at(`${name}.ext`),
		];
		await run("openssl", [
			...["req", "-new", ...EC, "-subj", `/CN=${name}`],
			...["-keyout", keyPath, "-out", csr],
		]);
		await writeFile(ext, extension);
		await run("openssl", [
			...["x509", "-req", "-in", csr, "-CA", at("ca.pem")],
			...["-CAkey", at("ca.key"), "-CAcreateserial", "-days", "2"],
			...["-extfile", ext, "-out", certPath],
		]);
		const [cert, key] = await Promise.all([
			readFile(certPath, "utf8"),
			readFile(keyPath, "utf8"),
		]);
		return { certPath, keyPath, cert, key };
	};
	return {
		caPath: at("ca.pem"),
		ca: await readFile(at("ca.pem"), "utf8"),
		server: await issue("server", "subjectAltName=IP:127.0.0.1\n"),
		client: (name) => issue(name, "extendedKeyUsage=clientAuth\n"),
	};
}
