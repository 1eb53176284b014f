#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace fastort::kernels {

// A regular expression in RE2's syntax: matching takes time linear in the text, whatever the pattern. May be used by
// several threads at once.
class Regex {
 public:
  // Which of the matches at one place counts: the one that Perl would find, or the longest.
  enum class Match { First, Longest };

  // Throws Error(InvalidGraph) where the pattern is no regular expression.
  explicit Regex(const std::string& pattern, Match match = Match::First);
  ~Regex();
  Regex(Regex&&) noexcept;
  Regex& operator=(Regex&&) noexcept;

  // True where the whole text matches.
  bool matches(std::string_view text) const;
  // The leftmost match that begins at byte `from` or behind it, as a part of `text`.
  std::optional<std::string_view> find(std::string_view text, size_t from) const;

 private:
  struct Impl;
  std::unique_ptr<const Impl> impl_;
};

}  // namespace fastort::kernels
