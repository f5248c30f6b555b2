#include "child_process.hpp"
#include "contract.hpp"

#include <array>

using namespace pepper;

// The default collector lives once in a process: so each promise is a process of its own.

namespace {

void configure_manual() {
  TelemetryConfig config;
  config.flush_mode = FlushMode::manual;
  configure_default(config);
}

void ends_well(const char* test_case) {
  const child_process::Ended child = child_process::run(test_case);
  INFO(child.output);
  CHECK(child.status == 0);
}

}  // namespace

TEST_CASE("child: static handles" * doctest::skip()) {
  configure_manual();
  counter<"requests", "method", "GET", "code", "">().add(3);
  counter<"requests", "code", "", "method", "GET">().add();
  gauge<"level">().set(5);
  summary<"size">().record(6);
  histogram<"latency">().record(7);
  timer<"time">().record(std::chrono::seconds{2});
  const auto snapshot = default_collector().flush();
  const auto requests = snapshot->find("requests", {{"method", "GET"}, {"code", ""}});
  REQUIRE(requests != nullptr);
  CHECK(requests->kind == Kind::counter);
  CHECK(requests->count == 2);
  CHECK(requests->sum == 4);
  CHECK(snapshot->find("level")->kind == Kind::gauge);
  CHECK(snapshot->find("level")->last == 5);
  CHECK(snapshot->find("size")->kind == Kind::summary);
  CHECK(snapshot->find("latency")->kind == Kind::histogram);
  CHECK(snapshot->find("time")->kind == Kind::timer);
  CHECK(snapshot->find("time")->sum == 2);
}

TEST_CASE("a static handle is the series of the default collector that its name and tags say, bound once") {
  ends_well("child: static handles");
}

TEST_CASE("child: static handle, first used by many" * doctest::skip()) {
  configure_manual();
  contract::on_threads(8, [](std::size_t) { counter<"hits">().add(); });
  CHECK(contract::count(*default_collector().flush(), "hits") == 8);
}

TEST_CASE("threads that use a static handle first at once lose nothing") { ends_well("child: static handle, first used by many"); }
