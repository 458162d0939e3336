import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import test, { type ExecutionContext } from "ava";
import { type Browser, chromium, type Page } from "playwright-core";
import { renderReport } from "./render.ts";
import { sampleReport } from "./sample.ts";
import type { DemoReport } from "./types.ts";

const CHROMIUM = "/usr/bin/chromium";
const inBrowser = existsSync(CHROMIUM) ? test.serial : test.serial.skip;
let browser: Browser;

test.before(async (t) => {
	if (!existsSync(CHROMIUM))
		return t.log(`skipped: there is no ${CHROMIUM} (apt-get install chromium)`);
	browser = await chromium.launch({
		executablePath: CHROMIUM,
		args: [
			"--headless",
			"--no-sandbox",
			"--disable-gpu",
			"--disable-quic",
			"--no-first-run",
			"--disable-background-networking",
			"--disable-component-update",
			"--disable-sync",
		],
	});
});
test.after.always(() => browser?.close());

/** The report in a page of its own, and what the page complained about. */
async function show(
	t: ExecutionContext,
	report: DemoReport,
	options: Parameters<Browser["newPage"]>[0] = {},
): Promise<{ page: Page; complaints: string[] }> {
	const dir = await mkdtemp(join(tmpdir(), "wattvox-report-"));
	const page = await browser.newPage(options);
	t.teardown(async () => {
		await page.close();
		await rm(dir, { recursive: true });
	});
	const complaints: string[] = [];
	page.on("console", (m) => complaints.push(m.text()));
	page.on("pageerror", (e) => complaints.push(String(e)));
	page.on("request", (r) => {
		if (!/^(file|data):/.test(r.url())) complaints.push(r.url());
	});
	const path = join(dir, "report.html");
	await writeFile(path, renderReport(report));
	await page.goto(pathToFileURL(path).href);
	return { page, complaints };
}

/**
 * Resolves when `condition` holds in the page. Not `waitForFunction`: that evaluates strings inside
 * the page, which the page's own policy forbids.
 */
function until(page: Page, condition: string): Promise<void> {
	return page.evaluate(
		`new Promise((done) => { const look = () => (${condition}) ? done() : requestAnimationFrame(look); look(); })`,
	);
}

/** What has the keyboard's focus. */
const focused = "document.activeElement?.getAttribute('aria-label')";

inBrowser("no complaints; pictures and sounds load", async (t) => {
	const { page, complaints } = await show(t, sampleReport());
	await until(
		page,
		"[...document.querySelectorAll('audio')].every((a) => a.duration > 0.9)",
	);
	t.true(
		await page.evaluate<boolean>(
			"[...document.images].every((i) => i.naturalWidth === 80)",
		),
	);
	t.deepEqual(complaints, []);
});

inBrowser("players work from the keyboard, one at a time", async (t) => {
	const { page, complaints } = await show(t, sampleReport());
	await page.keyboard.press("Tab");
	t.is(await page.evaluate(focused), "Play Recording");
	await page.keyboard.press("Space");
	await until(page, "document.querySelector('audio').currentTime > 0.05");
	t.is(await page.evaluate(focused), "Pause Recording");
	await page.getByRole("button", { name: "Play Synthesis" }).click();
	await until(page, "document.querySelectorAll('audio')[0].paused");
	t.false(await page.evaluate("document.querySelectorAll('audio')[1].paused"));
	await page.getByRole("slider").nth(1).focus();
	await page.keyboard.press("End");
	await until(page, "document.querySelectorAll('audio')[1].paused");
	t.deepEqual(complaints, []);
});

inBrowser("without scripts the browser's own players stay", async (t) => {
	const { page } = await show(t, sampleReport(), { javaScriptEnabled: false });
	t.is(await page.locator("audio[controls]").count(), 2);
	t.is(await page.locator("button").count(), 0);
});

/** The worst contrast of text on the page's paper, by WCAG 2.2's relative luminance. */
const CONTRAST = `(() => {
	const light = (css) => {
		const [r, g, b] = css.match(/[\\d.]+/g).map((v) => {
			const c = Number(v) / 255;
			return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
		});
		return 0.2126 * r + 0.7152 * g + 0.0722 * b;
	};
	const paper = light(getComputedStyle(document.body).backgroundColor);
	const ratios = ["h1", ".quiet", ".tag", ".met", ".legend"].map((s) => {
		const ink = light(getComputedStyle(document.querySelector(s)).color);
		return (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
	});
	return { paper, worst: Math.min(...ratios) };
})()`;

inBrowser("dark and light differ, and text stands out in both", async (t) => {
	const contrast = async (colorScheme: "dark" | "light") => {
		const { page } = await show(t, sampleReport(), { colorScheme });
		return page.evaluate<{ paper: number; worst: number }>(CONTRAST);
	};
	const light = await contrast("light");
	const dark = await contrast("dark");
	t.true(light.paper > 0.8);
	t.true(dark.paper < 0.05);
	// WCAG 2.2, AA for text: 4.5
	t.true(light.worst >= 4.5, `light: ${light.worst}`);
	t.true(dark.worst >= 4.5, `dark: ${dark.worst}`);
});

inBrowser("a phone scrolls down only, whatever the text", async (t) => {
	const long = "unbreakable".repeat(30);
	const { page } = await show(
		t,
		sampleReport({
			title: long,
			notes: [long],
			voice: { name: "v", about: long, facts: [[long.slice(0, 40), long]] },
			stages: [
				{
					name: long,
					seconds: 1,
					joules: 5000,
					measured: false,
					result: long,
				},
			],
			audio: sampleReport().audio.map((a) => ({ ...a, text: long })),
		}),
		{ viewport: { width: 360, height: 700 } },
	);
	t.is(await page.evaluate("document.documentElement.scrollWidth"), 360);
});

inBrowser("text that looks like code does nothing", async (t) => {
	const evil = `"><script>console.log("ran")</script><img src=x onerror="console.log('ran')">`;
	const { page, complaints } = await show(
		t,
		sampleReport({
			title: evil,
			notes: [evil],
			voice: { name: evil, about: evil, facts: [[evil, evil]] },
			curves: [{ name: evil, points: [[0, 1]] }],
			figures: [{ name: evil, value: 1, unit: evil }],
			audio: sampleReport().audio.map((a) => ({
				...a,
				label: evil,
				text: evil,
			})),
		}),
	);
	await page.waitForLoadState("load");
	t.is(await page.title(), evil);
	t.is(await page.locator("script").count(), 1);
	t.deepEqual(complaints, []);
});
