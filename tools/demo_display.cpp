#include "demo_display.hpp"

#include "demo_io.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include <sys/ioctl.h>
#include <unistd.h>

namespace demo {

namespace {

bool has_bar() {
  const char* const terminal = std::getenv("TERM");
  return ::isatty(STDOUT_FILENO) == 1 && (terminal == nullptr || std::string_view(terminal) != "dumb");
}

/// Asked anew for each line: windows change their size.
unsigned terminal_columns() {
  winsize size{};
  return ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

void print(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

/// By bytes; by files where the files claim no bytes.
double share(const Moment& moment) {
  const bool has_bytes = moment.known_bytes > 0;
  const auto done = static_cast<double>(has_bytes ? moment.bytes : moment.files);
  const auto known = static_cast<double>(has_bytes ? moment.known_bytes : moment.known_files);
  return known > 0 ? std::min(1.0, done / known) : 0;
}

std::string rate(const Moment& moment) {
  const double seconds = std::max(moment.seconds, 1e-3);
  return human_bytes(static_cast<double>(moment.bytes) / seconds) + "/s, " + decimal(static_cast<double>(moment.files) / seconds, 0) +
         " files/s";
}

std::string time_left(const Moment& moment) {
  const double done = share(moment);
  if (done <= 0) return "ETA -:--";
  const double seconds = std::min(moment.seconds * (1 - done) / done + 0.5, 359'999.0);
  const auto whole = static_cast<unsigned>(seconds);
  const auto two_digits = [](unsigned n) { return (n < 10 ? "0" : "") + std::to_string(n); };
  const std::string minutes = std::to_string(whole / 60 % 60);
  const std::string hours = whole >= 3600 ? std::to_string(whole / 3600) + ":" + (minutes.size() < 2 ? "0" : "") : "";
  return "ETA " + hours + minutes + ":" + two_digits(whole % 60);
}

std::string found(const Moment& moment) {
  return "walking: " + std::to_string(moment.known_files) + " files, " + human_bytes(static_cast<double>(moment.known_bytes));
}

}  // namespace

std::string bar_line(const Moment& moment, unsigned columns) {
  constexpr std::size_t kWidest = 40, kNarrowest = 5;
  const std::size_t width = columns > 1 ? columns - 1 : 1;  // the last column is left alone: some terminals wrap when it is written
  std::string line = found(moment);
  if (!moment.is_walking) {
    const double done = share(moment);
    line = decimal(done * 100, 0) + "% ";
    line.insert(0, line.size() < 5 ? 5 - line.size() : 0, ' ');
    const std::string numbers = rate(moment) + "  " + time_left(moment);
    const std::size_t taken = line.size() + numbers.size() + 4;
    if (taken + kNarrowest <= width) {
      const std::size_t bar = std::min(kWidest, width - taken);
      const auto full = static_cast<std::size_t>(done * static_cast<double>(bar));
      line += '[' + std::string(full, '=') + (full < bar ? ">" + std::string(bar - full - 1, ' ') : "") + "]  ";
    }
    line += numbers;
  }
  line.resize(width, ' ');
  return line;
}

std::string plain_line(const Moment& moment) {
  if (moment.is_walking) return found(moment);
  return "hashing: " + std::to_string(moment.files) + " of " + std::to_string(moment.known_files) + " files, " +
         human_bytes(static_cast<double>(moment.bytes)) + " of " + human_bytes(static_cast<double>(moment.known_bytes)) + ", " +
         rate(moment) + ", " + time_left(moment);
}

Display::Display(const JobCounts& counts) : counts_(counts), thread_([this](const std::stop_token& stop) { run(stop); }) {}

void Display::run(const std::stop_token& stop) {
  using namespace std::chrono_literals;
  if (!has_bar()) {
    while (sleep(stop, 1s)) print(plain_line(look()) + "\n");
    return;
  }
  do {
    print("\r" + bar_line(look(), terminal_columns()));
  } while (sleep(stop, 100ms));
  const unsigned columns = terminal_columns();
  print("\r" + bar_line(look(), columns));
  print("\r" + std::string(columns - 1, ' ') + "\r");
}

Moment Display::look() const {
  const std::chrono::nanoseconds since(counts_.hashing_since_ns.get());  // before now: no time is negative
  const std::chrono::nanoseconds now = std::chrono::steady_clock::now().time_since_epoch();
  Moment moment{.known_files = counts_.found_files.get(), .known_bytes = counts_.found_bytes.get(), .is_walking = since.count() == 0};
  if (!moment.is_walking) moment.seconds = std::chrono::duration<double>(now - since).count();
  for (const JobCounts::Worker& worker : counts_.workers) {
    moment.files += worker.files.get();
    moment.bytes += worker.bytes.get();
  }
  return moment;
}

bool Display::sleep(const std::stop_token& stop, std::chrono::milliseconds duration) {
  std::unique_lock lock(mutex_);
  wake_.wait_for(lock, stop, duration, [] { return false; });
  return !stop.stop_requested();
}

}  // namespace demo
