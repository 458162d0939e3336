#!/bin/sh
# Installs, updates or removes the wattvox agent on a Jetson (or any 64-bit Linux with systemd).
#
#   sudo ./jetson-install.sh install ARCHIVE      made by `npm run pack:agent`; again to update
#   sudo ./jetson-install.sh uninstall [--purge]  --purge: voices, settings and the account too
#
# What it does: checks the archive's SHA-256 where ARCHIVE.sha256 lies beside it; unpacks it to
# /opt/wattvox/releases; makes the system account `wattvox`; writes /etc/wattvox/agent.env if there is
# none; compiles the TensorRT shim where TensorRT's headers are, and lets the service at the GPU then;
# installs the service and starts it once the settings are filled in. Needs no network. Doing it again
# changes nothing; a newer archive takes the place of the older, whose folder stays until the next.
# WATTVOX_ROOT=DIR puts every file below DIR (an image that is being built).
set -eu

root=${WATTVOX_ROOT:-}
opt=$root/opt/wattvox
etc=$root/etc/wattvox
data=$root/var/lib/wattvox
unit=$root/etc/systemd/system/wattvox-agent.service
launcher=$root/usr/local/bin/wattvox-agent
gpu=$unit.d/tensorrt.conf
compiled=no

die() {
	echo "jetson-install: $*" >&2
	exit 1
}
usage() {
	sed -n '2,12p' "$0" | sed 's/^# \{0,1\}//'
	exit "${1:-0}"
}
need_root() {
	[ -n "$root" ] || [ "$(id -u)" -eq 0 ] || die "run it with sudo"
}
service() {
	command -v systemctl >/dev/null 2>&1 || die "no systemctl: this system does not run systemd"
	if [ -z "$root" ]; then
		systemctl "$@"
	elif [ "$1" = enable ] || [ "$1" = disable ]; then
		# in an image that is being built nothing runs yet
		systemctl --root="$root" "$1" wattvox-agent
	fi
}

account() {
	# an image that is being built makes its accounts itself
	[ -z "$root" ] || return 0
	id wattvox >/dev/null 2>&1 && return 0
	useradd --system --user-group --no-create-home --home-dir /var/lib/wattvox \
		--shell /usr/sbin/nologin wattvox
}

settings() {
	mkdir -p "$etc"
	[ -e "$etc/agent.env" ] && return 0
	(
		umask 077
		cat >"$etc/agent.env.part" <<-'END'
			# Fill in, then: systemctl restart wattvox-agent
			WATTVOX_AGENT_ARGS=
			# For example:
			#WATTVOX_AGENT_ARGS=--broker mqtts://broker.example --fleet home --device kitchen --trust /etc/wattvox/root.json
			#WATTVOX_BROKER_PASSWORD=
			# With TensorRT, where the installer said that it compiled the shim, also:
			#--shim /opt/wattvox/current/libwattvox_trt.so
		END
	)
	mv "$etc/agent.env.part" "$etc/agent.env"
}

configured() {
	grep -q '^WATTVOX_AGENT_ARGS=..*' "$etc/agent.env"
}

launch() {
	mkdir -p "$(dirname "$launcher")"
	cat >"$launcher.part" <<-'END'
		#!/bin/sh
		# the agent with the Node that came with it
		PATH=/opt/wattvox/current/bin:$PATH exec /opt/wattvox/current/node_modules/.bin/wattvox-agent "$@"
	END
	chmod 755 "$launcher.part"
	mv "$launcher.part" "$launcher"
}

# Voices speak without it, so nothing here is a reason to stop.
shim() {
	lib=$release/libwattvox_trt.so
	for header in "$root"/usr/include/NvInfer.h "$root"/usr/include/*-linux-gnu/NvInfer.h; do
		[ -e "$header" ] || continue
		# when the header came, not when NVIDIA wrote it: that may be longer ago than the shim
		if [ ! -e "$lib" ] || [ -n "$(find "$header" -cnewer "$lib")" ]; then
			echo "compiling the TensorRT shim (a minute or so)"
			if PATH=$release/bin:$PATH "$release/node_modules/.bin/wattvox-agent" shim --out "$lib"; then
				compiled=yes
			else
				rm -f "$lib"
				echo "no TensorRT shim: voices speak on ONNX Runtime"
				return 0
			fi
		fi
		let_at_gpu
		return 0
	done
	echo "no TensorRT headers (package libnvinfer-dev): voices speak on ONNX Runtime"
}

# Groups that JetPack gives the GPU's files to, as far as they are here, and room for a build.
let_at_gpu() {
	groups=
	for group in video render; do
		if grep -q "^$group:" "$root/etc/group" 2>/dev/null; then groups="$groups $group"; fi
	done
	mkdir -p "$unit.d"
	printf '[Service]\nSupplementaryGroups=%s\nMemoryHigh=3G\nTasksMax=512\n' "${groups# }" >"$gpu.part"
	mv "$gpu.part" "$gpu"
}

install() {
	archive=${1:-}
	[ -n "$archive" ] || usage 2
	[ -r "$archive" ] || die "cannot read $archive"
	need_root
	if [ -r "$archive.sha256" ]; then
		(cd "$(dirname "$archive")" && sha256sum -c --status "$(basename "$archive").sha256") ||
			die "$archive is not what $archive.sha256 says: fetch it again"
	else
		echo "no $archive.sha256: the archive is taken as it is"
	fi
	digest=$(sha256sum "$archive" | cut -c1-16)
	release=$opt/releases/$digest
	if [ ! -d "$release" ]; then
		mkdir -p "$opt/releases"
		rm -rf "$release.part"
		mkdir "$release.part"
		tar -xzf "$archive" -C "$release.part" --strip-components=1 --no-same-owner ||
			die "$archive cannot be unpacked; nothing was changed"
		for file in VERSION bin/node node_modules/.bin/wattvox-agent wattvox-agent.service; do
			[ -e "$release.part/$file" ] || {
				rm -rf "$release.part"
				die "$archive is no archive of the agent: it lacks $file"
			}
		done
		[ -n "$root" ] || "$release.part/bin/node" -e 0 || {
			rm -rf "$release.part"
			die "its Node does not run here: is it for this processor ($(uname -m))?"
		}
		sync
		mv "$release.part" "$release"
	fi
	account
	settings
	launch
	shim
	mkdir -p "$(dirname "$unit")"
	cp "$release/wattvox-agent.service" "$unit.part"
	mv "$unit.part" "$unit"
	before=$(readlink "$opt/current" 2>/dev/null || true)
	ln -s "releases/$digest" "$opt/current.part"
	mv -T "$opt/current.part" "$opt/current"
	# the one before stays, for going back by hand
	for old in "$opt"/releases/*; do
		case $old in
			"$release" | "$opt/$before") ;;
			*) rm -rf "$old" ;;
		esac
	done
	service daemon-reload
	service enable wattvox-agent
	if configured; then
		if [ "$before" = "releases/$digest" ] && [ "$compiled" = no ]; then
			service start wattvox-agent
		else
			service restart wattvox-agent
		fi
		echo "wattvox agent $(cat "$release/VERSION"): running; see wattvox-agent status --data $data"
	else
		echo "wattvox agent $(cat "$release/VERSION"): installed. Fill in $etc/agent.env, then: systemctl start wattvox-agent"
	fi
}

uninstall() {
	need_root
	if [ -e "$unit" ]; then
		service disable --now wattvox-agent || true
		rm -f "$unit" "$gpu"
		if [ -d "$unit.d" ]; then rmdir --ignore-fail-on-non-empty "$unit.d"; fi
		service daemon-reload
	fi
	rm -f "$launcher"
	rm -rf "$opt"
	if [ "${1:-}" = --purge ]; then
		rm -rf "$etc" "$data"
		if id wattvox >/dev/null 2>&1 && [ -z "$root" ]; then userdel wattvox; fi
		echo "wattvox agent: removed, with its voices and settings"
	else
		echo "wattvox agent: removed; voices stay in $data, settings in $etc (--purge removes them)"
	fi
}

case ${1:-} in
	install) install "${2:-}" ;;
	uninstall)
		case ${2:-} in '' | --purge) uninstall "${2:-}" ;; *) usage 2 ;; esac
		;;
	-h | --help | '') usage ;;
	*) usage 2 ;;
esac
