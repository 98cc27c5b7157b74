// What the user reads when the sandbox cannot be built.
#include "boot.h"

static void print(const char *format, va_list arguments) {
  char text[2 * PATH_MAX];
  int length = vsnprintf(text, sizeof text, format, arguments);
  if (length < 0) return;
  if ((size_t)length >= sizeof text) length = sizeof text - 1;
  dprintf(2, "cloister: %.*s", length, text);
}

void say(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  print(format, arguments);
  va_end(arguments);
  dprintf(2, "\n");
}

void die(const char *hint, const char *format, ...) {
  int error = errno;
  va_list arguments;
  va_start(arguments, format);
  print(format, arguments);
  va_end(arguments);
  if (error) dprintf(2, ": %s", strerror(error));
  dprintf(2, "\n");
  if (hint) dprintf(2, "cloister: %s\n", hint);
  _exit(125);
}
