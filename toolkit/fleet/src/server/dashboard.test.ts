import { existsSync } from "node:fs";
import test, { type ExecutionContext } from "ava";
import { type Browser, chromium, type Page } from "playwright-core";
import { hashPassword } from "./auth.ts";
import { FleetServer } from "./server.ts";
import { type TestFleet, testFleet } from "./testing-fleet.ts";

const CHROMIUM = "/usr/bin/chromium";
const PASSWORD = "correct-horse";
const inBrowser = existsSync(CHROMIUM) ? test.serial : test.serial.skip;
let browser: Browser;
let fleet: TestFleet;
let server: FleetServer;

test.before(async (t) => {
	if (!existsSync(CHROMIUM))
		return t.log(`skipped: there is no ${CHROMIUM} (apt-get install chromium)`);
	fleet = await testFleet(undefined, 60, process.env.WATTVOX_PICTURES ? 14 : 3);
	server = new FleetServer({
		...fleet,
		...{
			password: await hashPassword(PASSWORD, { N: 16, r: 1, p: 1 }),
			port: 0,
			liveMs: 50,
		},
	});
	await server.start();
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
test.after.always(async () => {
	await browser?.close();
	await server?.stop();
	await fleet?.stop();
});

/** A logged-in page, and what it complained about. */
async function show(
	t: ExecutionContext,
	options: Parameters<Browser["newContext"]>[0] = {},
): Promise<{ page: Page; complaints: string[] }> {
	t.timeout(300_000);
	const context = await browser.newContext(options);
	t.teardown(() => context.close());
	const page = await context.newPage();
	const complaints: string[] = [];
	page.on("console", (m) => complaints.push(m.text()));
	page.on("pageerror", (e) => complaints.push(String(e)));
	page.on("request", (r) => {
		if (!r.url().startsWith(server.url)) complaints.push(r.url());
	});
	await page.goto(server.url);
	await page.getByLabel("Password").fill(PASSWORD);
	await page.getByRole("button", { name: "Log in" }).click();
	await page.locator(".devices tbody tr").first().waitFor();
	await page.locator("#energy-body figure").first().waitFor();
	await page.locator("#live[data-state=on]").waitFor();
	return { page, complaints };
}

inBrowser("without a session there is the login page alone", async (t) => {
	const page = await browser.newPage();
	t.teardown(() => page.close());
	await page.goto(server.url);
	t.is(new URL(page.url()).pathname, "/login");
	await page.getByLabel("Password").fill("wrong");
	await page.keyboard.press("Enter");
	await page.getByText("not the password").waitFor();
	t.is((await fetch(`${server.url}/api/devices`)).status, 401);
});

inBrowser("everything is there, live, and nothing complains", async (t) => {
	const { page, complaints } = await show(t);
	const text = await page.locator("main").innerText();
	t.regex(text, /48 of 60 measured/);
	t.regex(text, /E_GOLDEN: sentence 2/);
	t.regex(text, /pulling, 61 %/);
	t.regex(text, /3fa9c1d27be0 on orin-nano/);
	t.regex(text, /Canary, energy: at most 6\.1 %/);
	// by its name as soon as that is known
	await page.getByText("ada 3fa9c1d27be0 on orin-nano").waitFor();
	// what devices measured beside what training took; an estimate says so, a forgery shows nothing
	await page.getByText("2.71 ± 0.0542 J").waitFor();
	const voices = await page.locator("#voices-body").innerText();
	t.regex(voices, /ada 3fa9c1d27be0/);
	t.regex(voices, /took 1\.21 Wh: as much as 26\.8 min of speech on agx-orin/);
	t.regex(voices, /15W\s+44 to 52 °C\s+ina3221\s+trusted key/);
	t.regex(voices, /est\. 3\.4 ± 0\.068 J/);
	t.regex(voices, /bad signature: not shown/);
	t.notRegex(voices, /0\.01/);
	t.regex(voices, /Training took unknown/);
	// a rollout's devices on their way say how far they are
	await page.getByText("2 on their way").click();
	const waiting = await page.locator("#rollouts-body").innerText();
	t.regex(waiting, /library-03 pulling, 61 %/);
	t.regex(waiting, /cellar-01 has not answered yet/);
	// a device that goes is said without a reload
	const online = page.locator("#tiles div", { hasText: "Online" });
	const before = await online.innerText();
	fleet.say("kitchen-02", "presence", { v: 1, online: false, session: 2 });
	await online.filter({ hasNotText: before }).waitFor();
	t.deepEqual(complaints, []);
});

interface AxNode {
	ignored: boolean;
	role?: { value: string };
	name?: { value: string };
	properties?: { name: string; value: { value: unknown } }[];
}

inBrowser(
	"a screen reader finds landmarks, headings and a name for all it can act on",
	async (t) => {
		const { page } = await show(t);
		const cdp = await page.context().newCDPSession(page);
		const tree = await cdp.send("Accessibility.getFullAXTree");
		const nodes = (tree.nodes as AxNode[]).filter((n) => !n.ignored);
		const named = new Set([
			"button",
			"link",
			"searchbox",
			"textbox",
			"combobox",
			"image",
			"table",
			"region",
			"navigation",
		]);
		const nameless = nodes.filter((n) => {
			const focusable = n.properties?.some(
				(p) => p.name === "focusable" && p.value.value,
			);
			const role = n.role?.value ?? "";
			return (
				(named.has(role) ||
					(focusable && role !== "RootWebArea" && role !== "main")) &&
				!n.name?.value
			);
		});
		t.deepEqual(
			nameless.map((n) => n.role?.value),
			[],
		);
		for (const role of [
			"banner",
			"main",
			"navigation",
			"contentinfo",
			"search",
			"status",
		])
			t.true(
				nodes.some((n) => n.role?.value === role),
				role,
			);
		const headings = nodes
			.filter((n) => n.role?.value === "heading")
			.map((n) => n.name?.value);
		for (const name of [
			"Fleet dashboard",
			"Now",
			"Energy",
			"Devices",
			"Rollouts",
		])
			t.true(headings.includes(name), name);
		const pictures = nodes
			.filter((n) => n.role?.value === "image")
			.map((n) => n.name?.value ?? "");
		t.true(
			pictures.some((name) => /Measured energy, \d+ bars/.test(name)),
			String(pictures),
		);
		t.true(
			pictures.some((name) =>
				/22 good, 5 under way, 2 failed, 31 waiting/.test(name),
			),
		);
	},
);

inBrowser(
	"the keyboard alone chooses a span, searches and pages",
	async (t) => {
		const { page } = await show(t);
		await page.keyboard.press("Tab");
		t.is(
			await page.evaluate("document.activeElement.textContent"),
			"Skip to content",
		);
		await page.getByRole("button", { name: "24 hours" }).focus();
		await page.keyboard.press("Enter");
		await page.locator('[data-since="24h"][aria-pressed=true]').waitFor();
		await page
			.locator('svg[aria-label*="24 bars"], svg[aria-label*="25 bars"]')
			.first()
			.waitFor();
		const next = page.getByRole("button", { name: "Next" });
		await next.focus();
		await page.keyboard.press("Space");
		await page.getByText("21 to 40 of 60").waitFor();
		await page.getByLabel("Search devices").fill("disk_full");
		await page.getByText("1 to 1 of 1").waitFor();
		await page.getByLabel("Search devices").fill("");
		await page.getByLabel("State").selectOption("busy");
		await page.getByText("1 to 1 of 1").waitFor();
		await page.getByText("pulling, 61 %", { exact: true }).waitFor();
	},
);

inBrowser("a phone scrolls down only, and loses nothing", async (t) => {
	const { page } = await show(t, {
		viewport: { width: 360, height: 740 },
		isMobile: true,
		hasTouch: true,
	});
	t.is(await page.evaluate("document.documentElement.scrollWidth"), 360);
	t.true(
		await page.getByText("E_GOLDEN: sentence 2 is 3.1 dB from").isVisible(),
	);
	const heights = await page.evaluate<number[]>(
		"[...document.querySelectorAll('button, input, select')].map((b) => b.getBoundingClientRect().height)",
	);
	t.true(Math.min(...heights) >= 38, String(Math.min(...heights)));
	const label = page.locator("#energy-body svg text").first();
	t.true(((await label.boundingBox())?.height ?? 0) >= 11, "drawn too small");
});

/** The worst contrast of text on what is behind it, by WCAG 2.2's relative luminance. */
const CONTRAST = `(() => {
	const light = (css) => {
		const [r, g, b] = css.match(/[\\d.]+/g).map((v) => {
			const c = Number(v) / 255;
			return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
		});
		return 0.2126 * r + 0.7152 * g + 0.0722 * b;
	};
	const behind = (e) => {
		const { backgroundColor } = getComputedStyle(e);
		return /, 0\\)$|transparent/.test(backgroundColor) && e.parentElement ? behind(e.parentElement) : backgroundColor;
	};
	const seen = [...document.querySelectorAll("h2, .quiet, .pill, .why, td, th, dt, b, button:not(:disabled)")];
	const ratios = seen.map((e) => {
		const [a, b] = [light(getComputedStyle(e).color), light(behind(e))];
		return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
	});
	return { paper: light(getComputedStyle(document.body).backgroundColor), worst: Math.min(...ratios), of: seen.length };
})()`;

inBrowser("light and dark differ, and text stands out in both", async (t) => {
	const { page } = await show(t);
	for (const colorScheme of ["light", "dark"] as const) {
		await page.emulateMedia({ colorScheme });
		const { paper, worst, of } = await page.evaluate<{
			paper: number;
			worst: number;
			of: number;
		}>(CONTRAST);
		t.true(colorScheme === "light" ? paper > 0.8 : paper < 0.05);
		// WCAG 2.2, AA for text: 4.5
		t.true(worst >= 4.5, `${colorScheme}: ${worst}`);
		t.true(of > 100);
	}
});

inBrowser("text from devices that looks like code does nothing", async (t) => {
	const evil = `"><img src=x onerror="console.log('ran')"><script>console.log('ran')</script>`;
	fleet.say("kitchen-01", "reported", {
		...{ v: 1, bundle: null, revision: 7, state: "failed" },
		...{ reason: { code: "E_X", message: evil }, at: new Date().toISOString() },
	});
	const { page, complaints } = await show(t);
	await page.getByText(evil, { exact: false }).first().waitFor();
	t.deepEqual(complaints, []);
});

inBrowser("logging out ends the session", async (t) => {
	const { page } = await show(t);
	const cookies = await page.context().cookies();
	t.like(cookies[0], { httpOnly: true, sameSite: "Strict" });
	await page.getByRole("button", { name: "Log out" }).click();
	await page.getByLabel("Password").waitFor();
	const old = await fetch(`${server.url}/api/devices`, {
		headers: { cookie: `${cookies[0]?.name}=${cookies[0]?.value}` },
	});
	t.is(old.status, 401);
});

// Registered only where they are asked for: a test that is skipped everywhere else says nothing.
const pictures = process.env.WATTVOX_PICTURES;
if (pictures)
	inBrowser("pictures for the README", async (t) => {
		for (const [name, options] of [
			["dashboard", { viewport: { width: 1280, height: 1120 } }],
			[
				"dashboard-dark",
				{ viewport: { width: 1280, height: 1120 }, colorScheme: "dark" },
			],
			[
				"dashboard-phone",
				{ viewport: { width: 390, height: 844 }, isMobile: true },
			],
		] as const) {
			const { page } = await show(t, { ...options, reducedMotion: "reduce" });
			await page.screenshot({ path: `${pictures}/${name}.png` });
			t.pass();
		}
	});
