/* Preloaded into processes whose wall clock a test sets wrong while they run.
 *
 * The first number in the file that CLOCK_OFFSET_FILE names is added, in seconds, to the wall
 * clock; no file, no offset. The monotonic clock is left alone, as it is when a date is set.
 * (libfaketime 0.9.10 makes Python's sleep fail when it leaves the monotonic clock alone.)
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long offset_s(void) {
  static __thread struct timespec looked;
  static __thread long offset;
  struct timespec now;
  /* The file is read ten times a second. */
  syscall(SYS_clock_gettime, CLOCK_MONOTONIC_COARSE, &now);
  if ((now.tv_sec - looked.tv_sec) * 10 + (now.tv_nsec - looked.tv_nsec) / 100000000 < 1)
    return offset;
  looked = now;
  offset = 0;
  const char *name = getenv("CLOCK_OFFSET_FILE");
  int file = name ? open(name, O_RDONLY | O_CLOEXEC) : -1;
  if (file >= 0) {
    char text[32] = {0};
    if (read(file, text, sizeof text - 1) > 0) offset = strtol(text, NULL, 10);
    close(file);
  }
  return offset;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
  static int (*next)(clockid_t, struct timespec *);
  if (!next) next = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
  int result = next(clock, time);
  if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
    time->tv_sec += offset_s();
  return result;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
  (void)zone;
  struct timespec now;
  int result = clock_gettime(CLOCK_REALTIME, &now);
  time->tv_sec = now.tv_sec;
  time->tv_usec = now.tv_nsec / 1000;
  return result;
}

time_t time(time_t *result) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (result) *result = now.tv_sec;
  return now.tv_sec;
}
