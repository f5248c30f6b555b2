#pragma once

/// Which sanitizer this program was built with: g++ and clang 14 say it in different words.
namespace sanitizers {

#if defined(__SANITIZE_THREAD__)
inline constexpr bool kIsTsan = true, kIsAsan = false;
#elif defined(__SANITIZE_ADDRESS__)
inline constexpr bool kIsTsan = false, kIsAsan = true;
#elif defined(__has_feature)
inline constexpr bool kIsTsan = __has_feature(thread_sanitizer), kIsAsan = __has_feature(address_sanitizer);
#else
inline constexpr bool kIsTsan = false, kIsAsan = false;
#endif

}  // namespace sanitizers
