#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The guest's init until its root is there: the host's files by virtiofs, read-only, under a tmpfs
# that takes every write. /settings names the rest (initramfs.py); /files is laid over the root.
set -e
mount -t proc proc /proc
mount -t devtmpfs dev /dev
# shellcheck source=/dev/null
. /settings
for module in /modules/*; do
	insmod "$module"
done
[ "$INIT" != none ] || exec poweroff -f # a guest that only shows that it boots

mount -t virtiofs -o ro host /host
mount -t tmpfs -o mode=0755 writes /writes
mkdir /writes/files /writes/work
mount -t overlay -o lowerdir=/host,upperdir=/writes/files,workdir=/writes/work root /root
mkdir -p /root/lib/modules
mount --bind "/host$MODULES" /root/lib/modules
mount --move /dev /root/dev
mount --move /proc /root/proc
mount -t sysfs sys /root/sys
mount -t tmpfs -o mode=0755 run /root/run
for folder in $HIDDEN; do
	mkdir -p "/root$folder"
	mount -t tmpfs -o mode=0755 hidden "/root$folder"
done
cp -a /files/. /root/
rm -f /root/.dockerenv # a guest is no container, whatever its host is

# As on machines of namespaces (namespace.py): unprivileged ICMP sockets, addresses usable at once.
echo "$NAME" >/root/proc/sys/kernel/hostname
echo "$NAME" >/root/etc/hostname
echo 0 0 >/root/proc/sys/net/ipv4/ping_group_range
echo 0 >/root/proc/sys/net/ipv6/conf/default/accept_dad
ip link set lo up
chroot /root /sbin/modprobe -a virtio_net tun

[ "$INIT" = porter ] || exec switch_root /root "$INIT"
ln -sf /proc/self/fd /root/dev/fd
for number in 0,stdin 1,stdout 2,stderr; do
	ln -sf "/proc/self/fd/${number%,*}" "/root/dev/${number#*,}"
done
mkdir -p /root/dev/pts /root/dev/shm
mount -t devpts devpts /root/dev/pts
mount -t tmpfs shm /root/dev/shm
mount -t bpf -o mode=0700 bpf /root/sys/fs/bpf
mount -t cgroup2 cgroup /root/sys/fs/cgroup
mount -t tracefs trace /root/sys/kernel/tracing
exec switch_root /root "$PYTHON" -I -S "$PORTER_PATH"
