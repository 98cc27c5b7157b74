// Entry of the addon. Loading it creates nothing: neither mappings nor descriptors nor timers (a warmed
// sentry process may be forked; see DESIGN.md, section 5).
#include "addon.h"

s32 addon_info[16];
double addon_clock[2];
s32 addon_events[2 * EVENTS_MAX];

void export_method(napi_env env, napi_value exports, const char *name, method *function, void *data) {
  napi_value value;
  napi_create_function(env, name, NAPI_AUTO_LENGTH, function, data, &value);
  napi_set_named_property(env, exports, name, value);
}

void export_memory(napi_env env, napi_value exports, const char *name, void *data, size_t bytes,
                   napi_typedarray_type type, size_t count) {
  napi_value buffer, view;
  napi_create_external_arraybuffer(env, data, bytes, NULL, NULL, &buffer);
  napi_create_typedarray(env, type, count, buffer, 0, &view);
  napi_set_named_property(env, exports, name, view);
}

NAPI_MODULE_INIT() {
  napi_value host;
  export_memory(env, exports, "info", addon_info, sizeof addon_info, napi_int32_array, 16);
  export_memory(env, exports, "clock", addon_clock, sizeof addon_clock, napi_float64_array, 2);
  export_memory(env, exports, "readyTokens", addon_events, sizeof addon_events, napi_int32_array, 2 * EVENTS_MAX);
  export_memory(env, exports, "expected", doorbell_expected, sizeof doorbell_expected, napi_int32_array, MAX_SLOTS);
  arena_exports(env, exports);
  doorbell_exports(env, exports);
  spin_exports(env, exports);
  wait_exports(env, exports);
  memory_exports(env, exports);
  placement_exports(env, exports);
  cage_exports(env, exports);
  napi_create_object(env, &host);
  host_exports(env, host);
  napi_set_named_property(env, exports, "host", host);
  return exports;
}
