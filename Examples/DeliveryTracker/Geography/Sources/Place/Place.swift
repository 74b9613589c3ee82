/// A position on the Earth, in degrees of WGS-84. It is always valid.
package struct Place: Hashable, Sendable {
    /// Degrees north of the equator, in -90...90.
    package let latitude: Double
    /// Degrees east of Greenwich, in -180...180. Both ends are the antimeridian.
    package let longitude: Double

    /// Creates a place from coordinates that may be wrong.
    /// - Throws: The coordinate that is out of range or not a number.
    package init(latitude: Double, longitude: Double) throws(PlaceError) {
        guard (-90...90).contains(latitude) else { throw .latitude(latitude) }
        guard (-180...180).contains(longitude) else { throw .longitude(longitude) }
        self.latitude = latitude
        self.longitude = longitude
    }

    /// Creates a place from constants or computed coordinates: the latitude is limited to -90...90, the longitude is
    /// wrapped into -180...180, and what is not finite becomes 0.
    package init(wrapping latitude: Double, _ longitude: Double) {
        self.latitude = latitude.isFinite ? min(90, max(-90, latitude)) : 0
        self.longitude = longitude.isFinite ? Longitude.wrapped(longitude) : 0
    }
}

/// The reason why coordinates are not a place.
package enum PlaceError: Error, Equatable, CustomStringConvertible {
    case latitude(Double)
    case longitude(Double)

    package var description: String {
        switch self {
        case .latitude(let value): "The latitude is \(value); it must be in -90...90 degrees."
        case .longitude(let value): "The longitude is \(value); it must be in -180...180 degrees."
        }
    }
}

extension Place: Codable {
    private enum CodingKeys: CodingKey {
        case latitude, longitude
    }

    /// Decodes an object with `latitude` and `longitude`, and refuses what is not a place.
    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        let latitude = try container.decode(Double.self, forKey: .latitude)
        let longitude = try container.decode(Double.self, forKey: .longitude)
        do {
            try self.init(latitude: latitude, longitude: longitude)
        } catch {
            let key: CodingKeys =
                switch error {
                case .latitude: .latitude
                case .longitude: .longitude
                }
            throw DecodingError.dataCorruptedError(forKey: key, in: container, debugDescription: error.description)
        }
    }
}
