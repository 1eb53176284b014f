#include "kernels/text/letters.h"

#include <utf8proc.h>

namespace fastort::kernels {
namespace {

char ascii(char c, LetterCase to) {
  if (to == LetterCase::Lower) return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  return c >= 'a' && c <= 'z' ? static_cast<char>(c - ('a' - 'A')) : c;
}

utf8proc_int32_t convert(utf8proc_int32_t c, LetterCase to, bool turkic) {
  constexpr utf8proc_int32_t kCapitalDotted = 0x130, kSmallDotless = 0x131, kSharpS = 0xDF;
  if (to == LetterCase::Lower) {
    if (turkic && c == 'I') return kSmallDotless;
    return utf8proc_tolower(c);
  }
  if (turkic && c == 'i') return kCapitalDotted;
  // utf8proc knows a capital sharp s; Unicode's table of single letters, and with it the C library, does not.
  return c == kSharpS ? c : utf8proc_toupper(c);
}

}  // namespace

std::string change_case(std::string_view text, LetterCase to, LetterRules rules) {
  std::string result;
  result.reserve(text.size());
  const bool turkic = rules == LetterRules::Turkic;
  for (size_t at = 0; at < text.size();) {
    const auto byte = static_cast<unsigned char>(text[at]);
    if (rules == LetterRules::Ascii || (byte < 0x80 && !turkic)) {
      result.push_back(byte < 0x80 ? ascii(text[at], to) : text[at]);
      ++at;
      continue;
    }
    utf8proc_int32_t c = 0;
    const utf8proc_ssize_t length = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()) + at,
                                                     static_cast<utf8proc_ssize_t>(text.size() - at), &c);
    if (length <= 0) {
      result.push_back(text[at++]);
      continue;
    }
    utf8proc_uint8_t bytes[4];
    const utf8proc_ssize_t count = utf8proc_encode_char(convert(c, to, turkic), bytes);
    result.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(count));
    at += static_cast<size_t>(length);
  }
  return result;
}

}  // namespace fastort::kernels
