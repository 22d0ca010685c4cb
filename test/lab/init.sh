#!/bin/busybox sh
# The first program in the lab's VM: makes this machine's root file system the VM's, and hands over
# to systemd or to the script "session.sh". See run.sh.
# shellcheck shell=dash
export PATH=/bin
/bin/busybox mkdir -p /proc /sys /dev /host /rw /root
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev

# "NAME PATH DEPENDENCY...", in an order in which each can be loaded.
load() { # FILE [NAME]
	while read -r name path needs; do
		if [ -z "${2:-}" ] || [ "$name" = "$2" ]; then
			for need in $needs; do
				grep -q "^$need " /proc/modules || insmod "/lib/modules/$need.ko"
			done
			insmod "$path"
		fi
	done <"/lib/modules/$1"
}
load order
load early
load lazy overlay

mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=512000,cache=loose host /host
mount -t tmpfs none /rw
mkdir /rw/upper /rw/work
mount -t overlay -o lowerdir=/host,upperdir=/rw/upper,workdir=/rw/work none /root
for dir in proc sys dev; do
	mount -o move "/$dir" "/root/$dir"
done
mount -t tmpfs none /root/run
mkdir -p /root/run/lab /root/dev/pts /root/dev/shm
mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000 lab /root/run/lab

case $(cat /root/run/lab/manager) in
none)
	# Children of the root have controllers without further ado nowhere: this is whose matter
	# it is to hand them down.
	mount -t cgroup2 none /root/sys/fs/cgroup
	exec switch_root /root /bin/sh /run/lab/session.sh
	;;
*)
	rm -f /root/.dockerenv # in a container systemd would not read the kernel command line
	mkdir -p /root/run/systemd/system
	cp /root/run/lab/*.target /root/run/lab/*.service /root/run/systemd/system
	exec switch_root /root /lib/systemd/systemd
	;;
esac
