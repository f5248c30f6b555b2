#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// Reads Prometheus' text format back, as strictly as its own parser does, and more: no sample and no family may be there twice.
namespace prometheus_page {

using Labels = std::map<std::string, std::string>;

struct Sample {
  std::string name;
  Labels labels;
  double value;
};

struct Family {
  std::string type, help;
  std::vector<Sample> samples;
};

[[nodiscard]] inline bool is_utf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto byte = static_cast<std::uint8_t>(text[i]);
    const std::size_t more = byte < 0x80 ? 0 : byte >> 5 == 6 ? 1 : byte >> 4 == 14 ? 2 : byte >> 3 == 30 ? 3 : 9;
    if (more == 9 || i + more >= text.size()) return false;
    std::uint32_t code = more == 0 ? byte : byte & (0x3fu >> more);
    for (std::size_t j = 1; j <= more; ++j) {
      const auto next = static_cast<std::uint8_t>(text[i + j]);
      if (next >> 6 != 2) return false;
      code = code << 6 | (next & 0x3fu);
    }
    constexpr std::uint32_t kLeast[] = {0, 0x80, 0x800, 0x10000};
    if (code < kLeast[more] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) return false;
    i += more + 1;
  }
  return true;
}

class Page {
 public:
  /// Throws std::runtime_error with the line that is wrong.
  explicit Page(std::string_view text) {
    if (!is_utf8(text) || text.find('\0') != std::string_view::npos) throw std::runtime_error("not UTF-8, or a zero byte");
    while (!text.empty()) {
      const std::size_t end = text.find('\n');
      if (end == std::string_view::npos) throw std::runtime_error("the last line has no end");
      rest_ = line_ = text.substr(0, end);
      read_line();
      text.remove_prefix(end + 1);
    }
  }

  std::map<std::string, Family> families;

  /// The only one of that name and labels; NaN if there is none.
  [[nodiscard]] double value(const std::string& name, const Labels& labels = {}) const {
    for (const auto& [family, of] : families) {
      for (const Sample& sample : of.samples) {
        if (sample.name == name && sample.labels == labels) return sample.value;
      }
    }
    return std::numeric_limits<double>::quiet_NaN();
  }
  [[nodiscard]] std::vector<Sample> samples(const std::string& name) const {
    std::vector<Sample> found;
    for (const auto& [family, of] : families) {
      for (const Sample& sample : of.samples) {
        if (sample.name == name) found.push_back(sample);
      }
    }
    return found;
  }

 private:
  [[noreturn]] void fail(const char* what) const { throw std::runtime_error(std::string(what) + ": " + std::string(line_)); }
  void want(bool holds, const char* what) const {
    if (!holds) fail(what);
  }
  [[nodiscard]] char next() {
    want(!rest_.empty(), "the line ends too early");
    const char c = rest_.front();
    rest_.remove_prefix(1);
    return c;
  }
  [[nodiscard]] bool takes(std::string_view text) {
    if (!rest_.starts_with(text)) return false;
    rest_.remove_prefix(text.size());
    return true;
  }
  [[nodiscard]] std::string name(bool may_have_colons) {
    std::string found;
    const auto is_legal = [&](char c) {
      const bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c == ':' && may_have_colons);
      return is_letter || (c >= '0' && c <= '9' && !found.empty());
    };
    while (!rest_.empty() && is_legal(rest_.front())) found += next();
    want(!found.empty(), "a name is missing");
    return found;
  }
  [[nodiscard]] char escaped(bool may_be_quote) {
    const char c = next();
    want(c == 'n' || c == '\\' || (c == '"' && may_be_quote), "no such escape");
    return c == 'n' ? '\n' : c;
  }

  void read_line() {
    if (takes("# HELP ")) {
      const std::string of = name(true);
      want(next() == ' ', "no help");
      std::string help;
      while (!rest_.empty()) {
        const char c = next();
        help += c == '\\' ? escaped(false) : c;
      }
      want(helped_.insert(of).second && !families.contains(of), "a second HELP, or one too late");
      help_ = {of, help};
    } else if (takes("# TYPE ")) {
      current_ = name(true);
      want(next() == ' ', "no type");
      want(!families.contains(current_), "a second TYPE");
      want(rest_ == "counter" || rest_ == "gauge" || rest_ == "summary" || rest_ == "histogram", "no such type");
      families[current_] = {std::string(rest_), help_.first == current_ ? help_.second : "", {}};
    } else {
      read_sample();
    }
  }

  void read_sample() {
    Sample sample;
    sample.name = name(true);
    if (takes("{")) {
      do {
        const std::string key = name(false);
        want(takes("=\""), "no value");
        std::string value;
        for (char c = next(); c != '"'; c = next()) value += c == '\\' ? escaped(true) : c;
        want(sample.labels.emplace(key, value).second, "a label twice");
      } while (takes(","));
      want(takes("}"), "no end of labels");
    }
    want(takes(" "), "no value");
    const std::string digits(rest_);
    char* end = nullptr;
    sample.value = std::strtod(digits.c_str(), &end);
    want(!digits.empty() && end == digits.c_str() + digits.size(), "no number");
    want(families.contains(current_), "a sample of no family");
    Family& family = families[current_];
    const bool has_parts = family.type == "summary" || family.type == "histogram";
    const bool is_part = has_parts && (sample.name == current_ + "_sum" || sample.name == current_ + "_count");
    const bool is_bucket = family.type == "histogram" && sample.name == current_ + "_bucket" && sample.labels.contains("le");
    const bool is_plain =
        family.type != "histogram" && sample.name == current_ && (family.type != "summary" || sample.labels.contains("quantile"));
    want(is_part || is_bucket || is_plain, "a sample of another family");
    want(seen_.emplace(sample.name, sample.labels).second, "a sample twice");
    family.samples.push_back(std::move(sample));
  }

  std::string_view line_, rest_;
  std::string current_;
  std::pair<std::string, std::string> help_;
  std::set<std::string> helped_;
  std::set<std::pair<std::string, Labels>> seen_;
};

}  // namespace prometheus_page
