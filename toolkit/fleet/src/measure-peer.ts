import { createReadStream } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { FolderStore } from "@wattvox/bundle";
import { Broker } from "./broker.ts";
import { StoreServer } from "./store-server.ts";

/*
 * The far side of a measured transfer, in a process of its own: broker, store server, and a plain
 * HTTP server of the same files to compare with. Its one argument is the store's folder.
 */
const source = new FolderStore(process.argv[2] ?? "");
const broker = await Broker.start({ port: 0 });
const server = new StoreServer({ source, broker: { url: broker.url } });
await server.start();
const http = createServer({ noDelay: true }, (request, response) => {
	const name = (request.url ?? "").slice(1);
	if (!/^[0-9a-f]{64}$/.test(name)) {
		response.writeHead(404).end();
		return;
	}
	createReadStream(source.blobPath(name)).pipe(response);
});
http.listen(0, "127.0.0.1", () => {
	const { port } = http.address() as AddressInfo;
	process.send?.({ mqtt: broker.url, http: `http://127.0.0.1:${port}` });
});
// ends with the one who measures
process.on("disconnect", () => process.exit(0));
