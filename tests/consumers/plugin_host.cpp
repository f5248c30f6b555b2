// A program and two shared libraries of its own: all must see one default collector.

#include <pepper/pepper.hpp>

#include <thread>

extern "C" const void* first_work();
extern "C" const void* second_work();

int main() {
  pepper::counter<"work_total">().add();
  const void* elsewhere = nullptr;
  std::thread([&] { elsewhere = second_work(); }).join();
  const void* const here = &pepper::default_collector();
  const bool is_one = first_work() == here && elsewhere == here;
  return is_one && pepper::default_collector().flush()->find("work_total")->count == 5 ? 0 : 1;
}
