#pragma once

#include <pepper/config.hpp>

#include "mapping.hpp"
#include "series_key.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pepper::detail {

/// What was said of a series when it was bound. A series that record(name, ...) created has none at first, and gets one with its first
/// bind: so that a snapshot stays what it was, each says from which snapshot on it holds.
struct SeriesText {
  SeriesText(Kind of, std::string_view its_unit, std::string_view its_help) : kind(of), unit(its_unit), help(its_help) {}

  Kind kind;
  std::string unit, help;
  /// Sequence of the first snapshot that it holds for.
  std::atomic<std::uint64_t> since{~std::uint64_t{0}};
  SeriesText* next_fresh = nullptr;  ///< in the list of those that no snapshot has met yet
};

/// What the four bytes beside a series' number are for, in its records.
enum class ExtraUse : std::uint8_t { none, ticket, time };

/// One series, for as long as its store lives; its key lies right behind it. All but `kind`, `text`, `tickets` and `extra_use` is set
/// before the entry can be found.
struct SeriesEntry {
  /// The key as SeriesKey::flat() has it, for one comparison.
  [[nodiscard]] std::string_view flat() const noexcept { return {bytes(), flat_size}; }
  [[nodiscard]] std::string_view name() const noexcept { return {bytes() + sizeof(std::uint16_t), name_size}; }
  [[nodiscard]] std::span<const Tag> tags() const noexcept {
    return {reinterpret_cast<const Tag*>(bytes() + tags_at(flat_size)), tag_count};
  }

  /// Where, in the bytes behind the entry, its tags are.
  [[nodiscard]] static constexpr std::size_t tags_at(std::size_t flat_size) noexcept {
    return (flat_size + alignof(Tag) - 1) / alignof(Tag) * alignof(Tag);
  }

  std::atomic<const SeriesText*> text{nullptr};
  std::uint32_t number = 0;               ///< what its records carry
  std::atomic<std::uint32_t> tickets{0};  ///< see Place::tickets(); set before kind becomes gauge
  std::uint16_t flat_size = 0;
  std::uint8_t name_size = 0;
  std::uint8_t tag_count : 6 = 0;
  bool is_overflow : 1 = false;     ///< where series went for which there was no room
  bool is_part : 1 = false;         ///< of another series: see SeriesPart
  Kind first_kind = Kind::summary;  ///< in snapshots that are older than `text`
  std::atomic<Kind> kind{Kind::summary};
  std::atomic<ExtraUse> extra_use{ExtraUse::none};
  bool is_bound = false;  ///< not only created by record(name, ...); under the registry's mutex

 private:
  [[nodiscard]] const char* bytes() const noexcept { return reinterpret_cast<const char*>(this + 1); }
};
static_assert(sizeof(SeriesEntry) == 24 && kMaxNameBytes <= 255 && kMaxTags < 63);

/// Where the entries are: appended to, never moved. entry() is thread-safe for an index that the caller was given; the rest is for one
/// thread at a time.
class SeriesStore {
 public:
  explicit SeriesStore(std::uint32_t capacity);

  [[nodiscard]] SeriesEntry& entry(std::uint32_t index) const noexcept {
    const std::uint32_t at = places()[index];
    return *reinterpret_cast<SeriesEntry*>(bases_[at / kUnitsPerBlock] + at % kUnitsPerBlock * kUnit);
  }

  /// Memory that append() of such a key will take from the system. `is_least`: as little as it can.
  [[nodiscard]] std::size_t next_bytes(const SeriesKey& key, std::string_view flat, bool is_least) const noexcept;
  /// Makes the entry `index`; its successor is index + 1. `bytes`: from next_bytes(). Throws std::bad_alloc.
  [[nodiscard]] SeriesEntry& append(std::uint32_t index, const SeriesKey& key, std::string_view flat, std::size_t bytes);

 private:
  // A place is the number of a block and, in units, where in it: four bytes, so that the places of 100,000 series stay in a core's
  // own cache. A block is one huge page, or, the first and where memory is scarce, small pages taken a few at a time.
  static constexpr std::size_t kBlock = std::size_t{2} << 20, kStep = std::size_t{16} << 10;
  static constexpr std::size_t kUnit = alignof(SeriesEntry);
  static constexpr std::uint32_t kUnitsPerBlock = kBlock / kUnit;
  static constexpr std::size_t kMostBlocks = (std::uint64_t{1} << 32) / kUnitsPerBlock;

  [[nodiscard]] std::uint32_t* places() const noexcept { return reinterpret_cast<std::uint32_t*>(places_.data()); }

  Pages places_;
  Pages bases_pages_;  ///< for all blocks that can be, as memory_limit_bytes may grow: of 128 KiB what is touched becomes memory
  std::byte** bases_;
  std::vector<Pages> blocks_;
  std::size_t used_ = kBlock, taken_ = kBlock;  ///< of the last block: by entries, from the system
};

}  // namespace pepper::detail
