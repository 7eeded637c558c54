/* A disk that stalls: while the file named by STALL_FILE is there, nothing that is synced returns.
   Preloaded (LD_PRELOAD) into the agent by bench/lamp.py and by tests. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

static void wait_for_disk(void)
{
    const char *file = getenv("STALL_FILE");
    while (file && access(file, F_OK) == 0)
        usleep(10000);
}

int fdatasync(int fd)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    wait_for_disk();
    return real(fd);
}

int fsync(int fd)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    wait_for_disk();
    return real(fd);
}
