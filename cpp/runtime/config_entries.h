#pragma once

#include <charconv>
#include <map>
#include <string>
#include <string_view>

#include "base/error.h"

namespace fastort {

// The configuration entries of a session, which users set as text by name.
class ConfigEntries {
 public:
  explicit ConfigEntries(const std::map<std::string, std::string>& entries) : entries_(&entries) {}

  // Refuses an entry "fastort.…" that there is not, which is misspelt; others are ONNX Runtime's.
  void check_names() const;

  // Empty where there is none.
  std::string_view text(std::string_view key) const;

  // "0" or "1".
  bool flag(std::string_view key, bool fallback) const;

  // Not negative.
  template <class T>
  T number(std::string_view key, const char* what, T fallback) const {
    if (!entries_->contains(std::string(key))) return fallback;
    const std::string_view given = text(key);
    T number{};
    const auto [end, error] = std::from_chars(given.data(), given.data() + given.size(), number);
    if (error != std::errc() || end != given.data() + given.size() || !(number >= T{}))
      invalid_argument(std::string(key) + " is a number of " + what + ", not '" + std::string(given) + "'");
    return number;
  }

 private:
  const std::map<std::string, std::string>* entries_;
};

}  // namespace fastort
