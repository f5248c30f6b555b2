#include "contract.hpp"

#include <algorithm>
#include <array>
#include <span>
#include <sstream>

using namespace pepper;

namespace {

std::string text(const Tags& tags) {
  std::ostringstream out;
  for (const Tag& tag : tags) out << tag.key << '=' << tag.value << ';';
  return out.str();
}

/// How many tags a function that takes a TagsView sees, and the first of them.
std::pair<std::size_t, std::string> seen(TagsView tags) { return {tags.size(), tags.empty() ? "" : std::string(tags.begin()->key)}; }

}  // namespace

TEST_CASE("tags are sorted by key") { CHECK(text(Tags{{"zone", "1"}, {"app", "2"}, {"mode", "3"}}) == "app=2;mode=3;zone=1;"); }

TEST_CASE("of equal keys in tags the last wins") {
  const Tags tags{{"a", "1"}, {"b", "2"}, {"a", "3"}, {"a", "4"}};
  CHECK(text(tags) == "a=4;b=2;");
  CHECK(tags.size() == 2);
  CHECK(tags[0] == Tag{"a", "4"});
}

TEST_CASE("tags own their bytes") {
  std::string key = "key", value = "value";
  const Tags tags{{key, value}};
  key = value = "-----";
  CHECK(text(tags) == "key=value;");
}

TEST_CASE("a copy of tags owns its bytes too") {
  Tags copy, assigned{{"x", "y"}};
  {
    const Tags original{{"key", "value"}, {"other", ""}};
    copy = Tags(original);
    assigned = original;
    CHECK(copy == original);
  }
  CHECK(text(copy) == "key=value;other=;");
  CHECK(text(assigned) == "key=value;other=;");
}

TEST_CASE("moving tags keeps what they say, short ones too") {
  Tags original{{"a", "1"}};
  Tags moved(std::move(original));
  CHECK(text(moved) == "a=1;");
  Tags assigned;
  assigned = std::move(moved);
  CHECK(text(assigned) == "a=1;");
  std::vector<Tags> grown;
  for (int i = 0; i < 100; ++i) grown.push_back(Tags{{"i", std::to_string(i)}});
  CHECK(text(grown.front()) == "i=0;");
  CHECK(text(grown.back()) == "i=99;");
}

TEST_CASE("tags that were given themselves stay as they were") {
  Tags tags{{"a", "1"}, {"b", "2"}};
  const Tags& same = tags;
  tags = same;
  CHECK(text(tags) == "a=1;b=2;");
}

TEST_CASE("equal tags are equal whatever the order they were given in") {
  CHECK(Tags{{"a", "1"}, {"b", "2"}} == Tags{{"b", "2"}, {"a", "1"}});
  CHECK_FALSE(Tags{{"a", "1"}} == Tags{{"a", "2"}});
  CHECK_FALSE(Tags{{"a", "1"}} == Tags{});
}

TEST_CASE("no tags are empty") {
  CHECK(Tags{}.empty());
  CHECK(Tags{}.begin() == Tags{}.end());
  CHECK(Tags(nullptr, 0).empty());
}

TEST_CASE("an empty value without an address is a value") {
  const Tags tags{{"key", std::string_view{}}};
  CHECK(text(tags) == "key=;");
}

TEST_CASE("tags are passed as braces, Tags, vectors, arrays and spans") {
  const std::vector<Tag> vector{{"a", "1"}, {"b", "2"}};
  const std::array<Tag, 2> array{Tag{"a", "1"}, {"b", "2"}};
  const Tag raw[] = {{"a", "1"}, {"b", "2"}};
  const auto two = std::pair<std::size_t, std::string>(2, "a");
  CHECK(seen({{"a", "1"}, {"b", "2"}}) == two);
  CHECK(seen(Tags{{"a", "1"}, {"b", "2"}}) == two);
  CHECK(seen(vector) == two);
  CHECK(seen(std::vector<Tag>(vector)) == two);
  CHECK(seen(array) == two);
  CHECK(seen(raw) == two);
  CHECK(seen(std::span<const Tag>(raw)) == two);
  CHECK(seen({{"a", "1"}}).first == 1);
  CHECK(seen({}).first == 0);
  CHECK(seen(std::vector<Tag>{}).first == 0);
}
