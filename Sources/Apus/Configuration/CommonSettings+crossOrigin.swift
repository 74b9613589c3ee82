import ApusCore
import ApusHTTP

extension CommonSettings {
    /// Returns the middleware that allows pages of other origins to call the app; `nil` if there are none.
    static func crossOrigin(_ settings: Settings) -> CORS? {
        let origins = settings.list("cors.origins")
        let allowsCredentials = settings.bool("cors.credentials", default: false)
        guard !origins.containsExactly("*") else {
            if allowsCredentials {
                settings.reportProblem(
                    "cors.credentials must be false if cors.origins is *, because any page could act on behalf of its visitors; list the origins instead."
                )
            }
            return CORS(origins: .all)
        }
        for origin in origins where !isOrigin(origin) {
            settings.reportProblem(
                "cors.origins: \"\(origin.prefix(64))\" must be * or an origin as browsers send it, such as https://app.example.org: in lower case, without a path and without the default port."
            )
        }
        return origins.isEmpty ? nil : CORS(origins: .only(Set(origins)), allowsCredentials: allowsCredentials)
    }

    private static func isOrigin(_ text: String) -> Bool {
        guard let origin = WebOrigin(text), !text.utf8.contains(UInt8(ascii: "*")) else { return false }
        return origin.serialized.isExactly(text)
    }
}
