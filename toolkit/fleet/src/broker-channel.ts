import { abandonable } from "@wattvox/core";
import type { Channel } from "@wattvox/link";
import type { Broker } from "./broker.ts";

/**
 * How a store in the embedded broker's own process talks to devices: without a connection, so that a block
 * is not sent, read and parsed once more on its way. A publish resolves when every subscriber's socket
 * has taken the message, or was dropped for not reading.
 * @param over what is being sent is given up then
 */
export function brokerChannel(broker: Broker, over: AbortSignal): Channel {
	return {
		ready: true,
		onReady: () => () => undefined,
		onLost: () => () => undefined,
		async publish(topic, payload, options = {}) {
			over.throwIfAborted();
			const { qos = 0 } = options;
			await abandonable(broker.publish(topic, payload, qos), over);
		},
		subscribe: (filter, handler) =>
			broker.feed.subscribe(filter, (topic, payload) => {
				// its answers are no reason to hold the sender back, nor is what it throws
				try {
					handler(topic, payload, false);
				} catch {
					return;
				}
			}),
	};
}
