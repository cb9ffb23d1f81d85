"""A clock for a gateway's processes that a test can set, by LD_PRELOAD."""

from __future__ import annotations

import mmap
import shutil
import struct
import subprocess
from pathlib import Path

SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile long nothing = 0, *offset_s = &nothing;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("TEST_CLOCK");
    int file = path ? open(path, O_RDONLY) : -1;
    void *map = file < 0 ? MAP_FAILED : mmap(0, 8, PROT_READ, MAP_SHARED, file, 0);
    if (map != MAP_FAILED) offset_s = map;
}

int clock_gettime(clockid_t id, struct timespec *t) {
    int failed = syscall(SYS_clock_gettime, id, t);
    if (!failed && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) t->tv_sec += *offset_s;
    return failed;
}

int gettimeofday(struct timeval *restrict t, void *restrict zone) {
    struct timespec now;
    (void) zone;
    clock_gettime(CLOCK_REALTIME, &now);
    t->tv_sec = now.tv_sec;
    t->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *where) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (where) *where = now.tv_sec;
    return now.tv_sec;
}
"""


class Clock:
    """The time of day of processes that were started with `environ`."""

    def __init__(self, folder: Path) -> None:
        """Raises FileNotFoundError without a C compiler."""
        compiler = shutil.which("cc")
        if compiler is None:
            raise FileNotFoundError("cc")
        source, library, offset = (folder / name for name in ("clock.c", "clock.so", "offset"))
        source.write_text(SOURCE)
        command = [compiler, "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"]
        subprocess.run(command, check=True)
        offset.write_bytes(bytes(8))
        folder.chmod(0o755)
        for path in (library, offset):
            path.chmod(0o644)
        with offset.open("r+b") as file:
            self._offset_s = mmap.mmap(file.fileno(), 8)
        self.environ = {"LD_PRELOAD": str(library), "TEST_CLOCK": str(offset)}

    def set(self, ahead_s: int) -> None:
        """Let them be so many seconds before the machine's clock, from now on."""
        self._offset_s[:] = struct.pack("@q", ahead_s)
