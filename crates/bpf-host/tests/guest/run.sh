#!/bin/sh
# Runs tests/willing_kernel.rs on a Debian kernel in a virtual machine: run.sh [VERSION] (6.12 or 6.1).
# BPF_HOST_TEST_KERNEL names another kernel; an empty BPF_HOST_TEST_LSM boots without `bpf` among the security modules.
# Needs cargo, qemu-system-x86_64, busybox-static, cpio, xz and, for the kernel, apt-get download. Takes neither KVM nor root.
set -eu
version=${1:-6.12}
here=$(cd "$(dirname "$0")" && pwd)
crate=$(cd "$here/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

for tool in qemu-system-x86_64 cpio xz cargo; do
	command -v "$tool" > /dev/null || { echo "skipped: no $tool"; exit 0; }
done
busybox=$(command -v busybox) || { echo "skipped: no busybox (Debian: busybox-static)"; exit 0; }
if [ -z "${BPF_HOST_TEST_KERNEL:-}" ]; then
	case $version in 6.1) names='linux-image-6\.1\.0-.*-cloud-amd64-unsigned';; *) names="linux-image-$version\..*-cloud-amd64-unsigned";; esac
	package=$(apt-cache search --names-only "^$names\$" | cut -d' ' -f1 | sort -V | tail -1)
	[ -n "$package" ] || { echo "skipped: no package of a kernel $version"; exit 0; }
	(cd "$work" && apt-get download -qq "$package" && dpkg-deb -x "$package"*.deb kernel)
	BPF_HOST_TEST_KERNEL=$(ls "$work"/kernel/boot/vmlinuz-*)
fi

# The tester is linked statically: the machine has no libraries.
(cd "$crate" && RUSTFLAGS='-C target-feature=+crt-static' CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$crate/target}/guest" \
	cargo test --release --target x86_64-unknown-linux-gnu --test willing_kernel --no-run --message-format=json) > "$work/build.json"
tester=$(grep -o '"executable":"[^"]*willing_kernel[^"]*"' "$work/build.json" | tail -1 | cut -d'"' -f4)

root=$work/root
mkdir -p "$root/bin" "$root/proc" "$root/sys" "$root/dev" "$root/tmp" "$root$crate/tests/bpf"
cp "$busybox" "$root/bin/busybox"
cp "$tester" "$root/bin/tester"
cp -r "$crate/tests/bpf/objects" "$root$crate/tests/bpf/"
for name in sh mount poweroff; do ln -s busybox "$root/bin/$name"; done
cat > "$root/init" <<'END'
#!/bin/sh
export PATH=/bin RUST_BACKTRACE=0 WILLING
mount -t proc p /proc; mount -t sysfs s /sys; mount -t devtmpfs d /dev
mount -t securityfs l /sys/kernel/security
tester --nocapture --test-threads=1
echo "EXIT=$?"
poweroff -f
END
# With another list of security modules it is enough that all is as foretold.
[ -n "${BPF_HOST_TEST_LSM+set}" ] || sed -i 's/WILLING/BPF_HOST_TEST_WILLING=1/' "$root/init"
chmod +x "$root/init"
(cd "$root" && find . | cpio -o -H newc --quiet) | gzip -1 > "$work/init.gz"
timeout 180 qemu-system-x86_64 -accel tcg -cpu max -smp 2 -m 512 -display none -serial stdio -monitor none -no-reboot -net none \
	-kernel "$BPF_HOST_TEST_KERNEL" -initrd "$work/init.gz" \
	-append "console=ttyS0 quiet panic=-1 lsm=landlock,lockdown,yama,integrity${BPF_HOST_TEST_LSM-,bpf}" < /dev/null | tee "$work/log"
# The machine ends well whatever happened inside of it.
grep -q 'EXIT=0' "$work/log"
