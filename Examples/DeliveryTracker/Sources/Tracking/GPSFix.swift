import FoundationEssentials

/// Where a driver's device says that it was, and when.
struct GPSFix: Codable, Sendable, Equatable {
    let latitude: Double
    let longitude: Double
    let at: Date

    var place: Place { Place(latitude: latitude, longitude: longitude) }
}

/// Why a fix was not believed.
enum FixRefusal: String, Error, Codable, Sendable, CaseIterable {
    /// Not a message of the protocol.
    case malformed
    /// Coordinates that are not on Earth, or the zero point that devices report before they know.
    case invalid
    /// Older than a minute, or not newer than the one before it.
    case stale
    /// More than ten seconds ahead of the server's clock.
    case future
    /// Further from the one before it than anything on wheels can go in that time.
    case jump
    /// Too many in a row.
    case flood
}

/// Believes the fixes of one driver, or does not.
struct FixFilter: Sendable {
    /// 250 km/h, in metres a second.
    static let topSpeed = 70.0
    static let maxAge = 60.0
    static let maxLead = 10.0
    /// What devices are off by; a difference smaller than it is no jump.
    static let tolerance = 50.0

    private var last: GPSFix?

    mutating func check(_ fix: GPSFix, now: Date) throws(FixRefusal) {
        let place = fix.place
        guard (-90...90).contains(place.latitude), (-180...180).contains(place.longitude),
            place.latitude != 0 || place.longitude != 0
        else { throw .invalid }
        guard fix.at.timeIntervalSince(now) <= Self.maxLead else { throw .future }
        guard now.timeIntervalSince(fix.at) <= Self.maxAge else { throw .stale }
        if let last {
            let seconds = fix.at.timeIntervalSince(last.at)
            guard seconds > 0 else { throw .stale }
            // A fix of long ago says nothing any more; and should it have been wrong, it must not bar the way for ever.
            guard seconds > Self.maxAge || place.distance(to: last.place) <= Self.tolerance + Self.topSpeed * seconds
            else { throw .jump }
        }
        last = fix
    }
}
