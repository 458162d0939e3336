import { execFile } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

export { readCertificates, whyNotTrusted } from "./certificate-judge.ts";

const run = promisify(execFile);

/** A certificate and its key, PEM, and where they lie. */
export interface Issued {
	dir: string;
	cert: string;
	key: string;
}

export interface IssueOptions {
	/** Folder for its files; new. */
	dir: string;
	/** Common name. Default: the folder's last part. */
	name?: string;
	/** Who signs; default itself. */
	by?: Issued;
	/** Years, from the first of January to the first of January. */
	years: [from: number, to: number];
	/** Lines of openssl's x509v3_config. */
	extensions: readonly string[];
	/** Default sha256. */
	digest?: string;
	/** Default P-256. */
	rsaBits?: number;
}

export const AUTHORITY = [
	"basicConstraints=critical,CA:TRUE",
	"keyUsage=critical,keyCertSign,cRLSign",
	"subjectKeyIdentifier=hash",
] as const;
export const SERVER = ["subjectAltName=IP:127.0.0.1"] as const;

const CONFIG = `[ca]
default_ca=own
[own]
database=$ENV::ISSUER/index.txt
new_certs_dir=$ENV::ISSUER
rand_serial=yes
unique_subject=no
policy=any
x509_extensions=ext
email_in_dn=no
[any]
commonName=supplied
[req]
distinguished_name=req_dn
[req_dn]
[ext]
`;

/** A certificate with dates of one's choice, which `openssl x509` of before 3.4 cannot give. */
export async function issue(o: IssueOptions): Promise<Issued> {
	const { dir, by, extensions, digest = "sha256", rsaBits } = o;
	await mkdir(dir, { recursive: true });
	const at = (name: string) => join(dir, name);
	await writeFile(at("config"), `${CONFIG}${extensions.join("\n")}\n`);
	await writeFile(at("index.txt"), "");
	const env = { ...process.env, ISSUER: by?.dir ?? dir };
	const openssl = (...args: string[]) => run("openssl", args, { env });
	await openssl(
		...["req", "-new", "-nodes", "-config", at("config")],
		...(rsaBits
			? ["-newkey", `rsa:${rsaBits}`]
			: ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]),
		...["-subj", `/CN=${o.name ?? dir.split("/").at(-1)}`],
		...["-keyout", at("key.pem"), "-out", at("csr.pem")],
	);
	const [from, to] = o.years.map((year) => `${year}0101000000Z`);
	await openssl(
		...["ca", "-batch", "-notext", "-config", at("config")],
		...["-md", digest, "-in", at("csr.pem"), "-out", at("cert.pem")],
		...["-startdate", from as string, "-enddate", to as string],
		...["-keyfile", join(by?.dir ?? dir, "key.pem")],
		...(by ? ["-cert", join(by.dir, "cert.pem")] : ["-selfsign"]),
	);
	const read = (name: string) => readFile(at(name), "utf8");
	return { dir, cert: await read("cert.pem"), key: await read("key.pem") };
}
