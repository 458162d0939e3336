import { crc32, deflateSync } from "node:zlib";

/**
 * A PNG of palette indices (https://www.w3.org/TR/png-3/): colour type 3, 8 bits, rows unfiltered, which
 * compresses best for palettes.
 * @param pixels row-major [height, width], indices into the palette
 * @param palette up to 256 colours, 3 bytes each
 */
export function indexedPng(
	pixels: Uint8Array,
	width: number,
	height: number,
	palette: Uint8Array,
): Uint8Array {
	const rows = Buffer.alloc(height * (width + 1));
	for (let y = 0; y < height; y++)
		rows.set(pixels.subarray(y * width, (y + 1) * width), y * (width + 1) + 1);
	const header = Buffer.alloc(13);
	header.writeUInt32BE(width, 0);
	header.writeUInt32BE(height, 4);
	header.set([8, 3, 0, 0, 0], 8);
	return Buffer.concat([
		Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
		chunk("IHDR", header),
		chunk("PLTE", palette),
		chunk("IDAT", deflateSync(rows, { level: 9 })),
		chunk("IEND", new Uint8Array(0)),
	]);
}

function chunk(type: string, data: Uint8Array): Buffer {
	const out = Buffer.alloc(12 + data.length);
	out.writeUInt32BE(data.length, 0);
	out.write(type, 4, "latin1");
	out.set(data, 8);
	out.writeUInt32BE(crc32(out.subarray(4, 8 + data.length)), 8 + data.length);
	return out;
}
