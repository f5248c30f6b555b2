// One of two shared libraries of the same program, PLUGIN says which, that know pepper each for itself.

#include <pepper/pepper.hpp>

#define NAME_OF(plugin) plugin##_work
#define NAME(plugin) NAME_OF(plugin)

extern "C" [[gnu::visibility("default")]] const void* NAME(PLUGIN)() {
  pepper::counter<"work_total">().add();
  pepper::default_collector().counter("work_total").add();
  return &pepper::default_collector();
}
