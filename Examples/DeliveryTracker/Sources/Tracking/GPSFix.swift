import FoundationEssentials

/// A position reported by a driver's device, and its time.
struct GPSFix: Codable, Sendable, Equatable {
    let latitude: Double
    let longitude: Double
    let at: Date

    var place: Place { Place(latitude: latitude, longitude: longitude) }
}

/// The reason why a fix was dropped.
enum FixRejection: String, Error, Codable, Sendable, CaseIterable {
    /// The message is not an encoded fix.
    case malformed
    /// The coordinates are out of range, or (0, 0), which devices report before they know their position.
    case invalid
    /// Older than a minute, or not newer than the previous fix.
    case stale
    /// More than ten seconds ahead of the server's clock.
    case future
    /// Too far from the previous fix for any vehicle to cover in the time between them.
    case jump
    /// Too many fixes in a short time.
    case flood
}

/// Validates the fixes of one driver.
struct FixFilter: Sendable {
    /// The maximum speed: 250 km/h, in metres per second.
    static let maximumSpeed = 70.0
    /// The maximum age of a fix, in seconds.
    static let maximumAge = 60.0
    /// How far a fix may be ahead of the server's clock, in seconds.
    static let maximumLead = 10.0
    /// The inaccuracy of devices, in metres; a smaller distance is not a jump.
    static let tolerance = 50.0

    private var last: GPSFix?

    mutating func check(_ fix: GPSFix, now: Date) throws(FixRejection) {
        let place = fix.place
        guard (-90...90).contains(place.latitude), (-180...180).contains(place.longitude),
            place.latitude != 0 || place.longitude != 0
        else { throw .invalid }
        guard fix.at.timeIntervalSince(now) <= Self.maximumLead else { throw .future }
        guard now.timeIntervalSince(fix.at) <= Self.maximumAge else { throw .stale }
        if let last {
            let seconds = fix.at.timeIntervalSince(last.at)
            guard seconds > 0 else { throw .stale }
            // An old fix no longer limits the distance; otherwise a wrong one would make all later fixes jumps.
            guard
                seconds > Self.maximumAge
                    || place.distance(to: last.place) <= Self.tolerance + Self.maximumSpeed * seconds
            else { throw .jump }
        }
        last = fix
    }

    /// Takes over a fix that another process has accepted.
    mutating func note(_ position: PositionView) {
        last = GPSFix(latitude: position.place.latitude, longitude: position.place.longitude, at: position.at)
    }
}
