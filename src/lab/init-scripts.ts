/**
 * First programs of the two initramfs, for busybox ash. Nothing of the outside is pasted into them: what to run comes as data.
 */

/** Where L1 sees the run folder of the host; what the job is lies in its `job` folder. */
export const SHARE = '/lab/run';

/** A line of L1's console that says the kernel reached our init. */
export const INIT_REACHED = 'sluice-lab: init';

/**
 * `/init` of L1: the host's file system (9p tag `root`, read-only) under an overlay, the run folder (tag `run`) at
 * {@link SHARE}; then `/lab/job.sh`, the third script, with everything in place.
 */
export const L1_INIT: string = `#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /lower /rw /new
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t devtmpfs dev /dev 2>/dev/null
PATH=/bin
echo '${INIT_REACHED}'
while read -r m; do insmod /mod/$m || echo "sluice-lab: insmod $m failed"; done < /modules
o=trans=virtio,version=9p2000.L,msize=1048576
mount -t 9p -o ro,$o,cache=loose root /lower || { echo 'sluice-lab: the host file system cannot be mounted'; exit 1; }
for b in /sys/class/bdi/9p-*; do echo 4096 > $b/read_ahead_kb; done
mount -t tmpfs -o size=75% tmpfs /rw
mkdir -p /rw/up /rw/wk
mount -t overlay -o lowerdir=/lower,upperdir=/rw/up,workdir=/rw/wk overlay /new || { echo 'sluice-lab: no overlay'; exit 1; }
cd /new
mkdir -p lab/run lab/guest proc sys dev run tmp var/tmp
chmod 1777 tmp var/tmp
mount -t 9p -o rw,$o,cache=none run lab/run || { echo 'sluice-lab: the run folder cannot be mounted'; exit 1; }
mount --move /proc proc
mount --move /sys sys
mount --move /dev dev
mount -t tmpfs -o mode=755 tmpfs run
mkdir -p dev/pts dev/shm run/home run/lock
mount -t devpts -o mode=620,ptmxmode=666 devpts dev/pts
mount -t tmpfs -o mode=1777 tmpfs dev/shm
mount -t debugfs debugfs sys/kernel/debug 2>/dev/null
cp /bin/busybox run/busybox
cp /job.sh run/job.sh
exec /bin/busybox switch_root /new /run/busybox sh /run/job.sh
`;

/**
 * Runs the job: \`job/argv\` and \`job/env\` hold one base64 text a line, each ending in a dot that is cut off here so that
 * trailing newlines survive. Output goes through FIFOs because a write to a virtio port may be short, which node's
 * standard output does not notice. The machine's own shell finds the command: busybox would prefer its applets. A mark ends each stream: what was written before it has arrived.
 */
export const L1_JOB: string = `b=/run/busybox
job=${SHARE}/job
$b ip link set lo up
$b hostname sluice-l1
port() { for p in /sys/class/virtio-ports/*; do [ -e $p/name ] && read -r n < $p/name && [ "$n" = "$1" ] && { echo /dev/\${p##*/}; return; }; done; }
control=$(port sluice.control)
exec 9> $control
unlock() { a=$($b printf %s "$1" | $b base64 -d); a=\${a%.}; }
while read -r line; do unlock "$line"; export "$a"; done < $job/env
if [ -n "$SLUICE_LAB_MODULES" ]; then
  $b mkdir -p /lib/modules
  $b rm -rf "/lib/modules/$($b uname -r)"
  $b ln -s "$SLUICE_LAB_MODULES" "/lib/modules/$($b uname -r)"
fi
$b ln -sf "$SLUICE_LAB_KERNEL" /lab/guest/vmlinuz
$b ln -sf "$SLUICE_LAB_INITRD" /lab/guest/initrd.gz
echo "$SLUICE_LAB_BIN/modprobe" > /proc/sys/kernel/modprobe
ulimit -l 8192
ulimit -Hn 1048576
ulimit -Sn 1024
set --
while read -r line; do unlock "$line"; set -- "$@" "$a"; done < $job/argv
read -r mark < $job/mark
read -r line < $job/cwd
unlock "$line"
cd "$a" 2>/dev/null || cd /
unset a line job
read -r up rest < /proc/uptime
echo "ready $up" >&9
if [ -e /dev/hvc0 ] && [ "$SLUICE_LAB_TERMINAL" ]; then
  # The size is set where the terminal stays open: it is forgotten at the last close.
  size='/run/busybox stty rows "\${SLUICE_LAB_TERMINAL%x*}" cols "\${SLUICE_LAB_TERMINAL#*x}"; unset SLUICE_LAB_TERMINAL'
  $b setsid -c /bin/sh -c "$size; "'exec "$@"' sh "$@" < /dev/hvc0 > /dev/hvc0 2>&1 9>&-
  rc=$?
else
  $b mkfifo /run/.out /run/.err
  $b cat < /run/.out > $(port sluice.stdout) &
  $b cat < /run/.err > $(port sluice.stderr) &
  exec 7> /run/.out 8> /run/.err
  $b setsid /bin/sh -c 'exec "$@"' sh "$@" < /dev/null >&7 2>&8 7>&- 8>&- 9>&-
  rc=$?
  $b printf %s "$mark" >&7
  $b printf %s "$mark" >&8
fi
echo "exit $rc" >&9
while :; do $b sleep 60; done
`;

/** A line of the guest's console that says everything is started. */
export const GUEST_READY = 'guest: ready';

/** \`/init\` of the guest that L1 starts: drivers of the assigned functions, the agent, and then it waits to be powered off. */
export const GUEST_INIT: string = `#!/bin/sh
export PATH=/bin:/sbin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev 2>/dev/null
mkdir -p /dev/pts
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /run
read -r up rest < /proc/uptime
echo "guest: init after $up s"
while read -r m; do insmod /mod/$m || echo "guest: insmod $m failed"; done < /modules
ip link set lo up
hostname guest
tries=0
while [ -z "$agent" ] && [ $tries -lt 50 ]; do
  for p in /sys/class/virtio-ports/*; do
    [ -e $p/name ] && read -r n < $p/name && [ "$n" = org.qemu.guest_agent.0 ] && agent=/dev/\${p##*/}
  done
  [ -n "$agent" ] || sleep 0.1
  tries=$((tries + 1))
done
if [ -n "$agent" ]; then
  qemu-ga -m virtio-serial -p $agent -t /run -f /run/qemu-ga.pid &
else
  echo 'guest: no org.qemu.guest_agent.0 port'
fi
for e in /sys/class/input/event*; do
  [ -e $e/device/name ] && read -r n < $e/device/name && [ "$n" = 'Power Button' ] || continue
  (dd if=/dev/input/\${e##*/} of=/dev/null bs=24 count=1 2>/dev/null && poweroff -f) &
done
echo '${GUEST_READY}'
while :; do sleep 3600; done
`;

/** \`/sbin/shutdown\` of the guest, as the agent calls it: \`-P\` power off, \`-r\` reboot, \`-H\` halt. */
export const GUEST_SHUTDOWN = `#!/bin/sh
for a in "$@"; do
  case $a in
    -r) exec reboot -f ;;
    -H) exec halt -f ;;
  esac
done
exec poweroff -f
`;
