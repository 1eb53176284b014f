#include "runtime/config_entries.h"

#include <algorithm>

namespace fastort {
namespace {

constexpr std::string_view kPrefix = "fastort.";

constexpr std::string_view kNames[] = {
    "fastort.allow_amx",     "fastort.allow_blocked_layouts", "fastort.allow_winograd",
    "fastort.cache_dir",     "fastort.cache_max_bytes",       "fastort.huge_pages",
    "fastort.kernel_choice", "fastort.prefer_kernel",         "fastort.trial_seconds",
};

}  // namespace

void ConfigEntries::check_names() const {
  for (const auto& [key, value] : *entries_) {
    if (!key.starts_with(kPrefix) || std::ranges::find(kNames, key) != std::end(kNames)) continue;
    std::string names;
    for (const std::string_view name : kNames) names += (names.empty() ? "'" : ", '") + std::string(name) + "'";
    invalid_argument("fastort knows no session configuration entry '" + key + "'; there are " + names);
  }
}

std::string_view ConfigEntries::text(std::string_view key) const {
  const auto entry = entries_->find(std::string(key));
  return entry == entries_->end() ? std::string_view() : std::string_view(entry->second);
}

bool ConfigEntries::flag(std::string_view key, bool fallback) const {
  if (!entries_->contains(std::string(key))) return fallback;
  const std::string_view given = text(key);
  if (given != "0" && given != "1")
    invalid_argument(std::string(key) + " is '0' or '1', not '" + std::string(given) + "'");
  return given == "1";
}

}  // namespace fastort
