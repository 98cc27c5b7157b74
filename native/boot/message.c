// What the user reads when the sandbox cannot be built.
#include "boot.h"

int message_fd = 2;
void (*before_death)(void);

static void print(const char *format, va_list arguments) {
  char text[2 * PATH_MAX];
  int length = vsnprintf(text, sizeof text, format, arguments);
  if (length < 0) return;
  if ((size_t)length >= sizeof text) length = sizeof text - 1;
  dprintf(message_fd, "cloister: %.*s", length, text);
}

void say(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  print(format, arguments);
  va_end(arguments);
  dprintf(message_fd, "\n");
}

void die(const char *hint, const char *format, ...) {
  int error = errno;
  va_list arguments;
  va_start(arguments, format);
  print(format, arguments);
  va_end(arguments);
  if (error) dprintf(message_fd, ": %s", strerror(error));
  dprintf(message_fd, "\n");
  if (hint) dprintf(message_fd, "cloister: %s\n", hint);
  if (before_death) before_death();
  _exit(125);
}
