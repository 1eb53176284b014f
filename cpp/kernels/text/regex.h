#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace fastort::kernels {

// A regular expression in RE2's syntax: matching takes time linear in the text, whatever the pattern. May be used by
// several threads at once.
class Regex {
 public:
  // Throws Error(InvalidGraph) where the pattern is no regular expression.
  explicit Regex(const std::string& pattern);
  ~Regex();
  Regex(Regex&&) noexcept;
  Regex& operator=(Regex&&) noexcept;

  // True where the whole text matches.
  bool matches(std::string_view text) const;

 private:
  struct Impl;
  std::unique_ptr<const Impl> impl_;
};

}  // namespace fastort::kernels
