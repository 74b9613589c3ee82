import Foundation

/// Prepares passwords for SCRAM (SASLprep, RFC 4013), so that the same characters in different encodings are equal.
enum PasswordPreparation {
    /// Returns the prepared password, or the password itself if it contains prohibited characters, as the server does.
    static func prepare(_ password: String) -> String {
        guard password.utf8.contains(where: { $0 >= 0x80 }) else { return password }
        var mapped = String.UnicodeScalarView()
        for scalar in password.unicodeScalars where !isMappedToNothing(scalar) {
            mapped.append(scalar.properties.generalCategory == .spaceSeparator ? " " : scalar)
        }
        let normalized = String(mapped).precomposedStringWithCompatibilityMapping
        return normalized.unicodeScalars.contains(where: isProhibited) ? password : normalized
    }

    private static func isMappedToNothing(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0xAD, 0x34F, 0x1806, 0x180B...0x180D, 0x200B...0x200D, 0x2060, 0xFE00...0xFE0F, 0xFEFF: true
        default: false
        }
    }

    private static func isProhibited(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control, .privateUse, .surrogate, .unassigned, .format, .lineSeparator, .paragraphSeparator: true
        default: false
        }
    }
}
