#include <pepper/tags.hpp>

#include <algorithm>
#include <cstring>

namespace pepper {

Tags::Tags(const Tag* tags, std::size_t count) {
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < count; ++i) bytes += tags[i].key.size() + tags[i].value.size();
  bytes_.resize(bytes);
  tags_.reserve(count);
  char* at = bytes_.data();
  const auto keep = [&at](std::string_view text) {
    if (!text.empty()) std::memcpy(at, text.data(), text.size());
    const std::string_view kept{at, text.size()};
    at += text.size();
    return kept;
  };
  for (std::size_t i = 0; i < count; ++i) {
    const auto found = std::ranges::lower_bound(tags_, tags[i].key, {}, &Tag::key);
    if (found != tags_.end() && found->key == tags[i].key) {
      found->value = keep(tags[i].value);
    } else {
      const std::string_view key = keep(tags[i].key);
      tags_.insert(found, Tag{key, keep(tags[i].value)});
    }
  }
}

}  // namespace pepper
