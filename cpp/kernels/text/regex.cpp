#include "kernels/text/regex.h"

#include <re2/re2.h>

#include "base/error.h"

namespace fastort::kernels {
namespace {

re2::RE2::Options options_of(Regex::Match match) {
  re2::RE2::Options options;
  options.set_log_errors(false);
  options.set_longest_match(match == Regex::Match::Longest);
  return options;
}

}  // namespace

struct Regex::Impl {
  Impl(const std::string& pattern, Match match) : regex(pattern, options_of(match)) {}
  const re2::RE2 regex;
};

Regex::Regex(const std::string& pattern, Match match) : impl_(std::make_unique<const Impl>(pattern, match)) {
  if (!impl_->regex.ok())
    invalid_graph("'" + pattern + "' is no regular expression of RE2's syntax: " + impl_->regex.error());
}

Regex::~Regex() = default;
Regex::Regex(Regex&&) noexcept = default;
Regex& Regex::operator=(Regex&&) noexcept = default;

std::optional<std::string_view> Regex::find(std::string_view text, size_t from) const {
  re2::StringPiece found;
  const re2::StringPiece whole(text.data(), text.size());
  if (!impl_->regex.Match(whole, from, text.size(), re2::RE2::UNANCHORED, &found, 1)) return std::nullopt;
  return std::string_view(found.data(), found.size());
}

bool Regex::matches(std::string_view text) const {
  return re2::RE2::FullMatch(re2::StringPiece(text.data(), text.size()), impl_->regex);
}

}  // namespace fastort::kernels
